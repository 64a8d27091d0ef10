"""Checkpoints, and the legal holds on them."""

from __future__ import annotations

import argparse
from typing import Any

from refloat.client.osc import arguments as a
from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import ALL, CHECKPOINT, PAGE, PROVIDER, Create, Delete, List, Show

_SEVERAL = Arg("checkpoint", "id of the checkpoint", nargs="+")


class CheckpointList(List):
    """List the checkpoints of a provider."""

    verb = "checkpoints"
    columns = ("Id", "Project id", "Status", "Protection plan", "Extra info", "Created at")
    args = (
        PROVIDER,
        ALL,
        Arg("--plan_id", "of this plan"),
        Arg("--start_date", "made on this day or later", metavar="<YYYY-MM-DD>"),
        Arg("--end_date", "with --start_date: made on this day or earlier", metavar="<YYYY-MM-DD>"),
        Arg("--project_id", "of this project (administrators)"),
        *PAGE,
    )


class CheckpointShow(Show):
    """Show a checkpoint."""

    verb = "get_checkpoint"
    args = (PROVIDER, CHECKPOINT)


class CheckpointCreate(Create):
    """Protect a plan: start to make a checkpoint."""

    verb, within = "create_checkpoint", PROVIDER
    args = (
        PROVIDER,
        Arg("plan_id", "id of the plan"),
        Arg("--extra_info", "what to remember with it", read=a.words, nargs="*", metavar="<key=value>"),
    )


class CheckpointDelete(Delete):
    """Start to delete checkpoints."""

    verb = "delete_checkpoint"
    args = (PROVIDER, _SEVERAL)


class CheckpointReset(Delete):
    """Set the status of checkpoints by hand."""

    args = (
        PROVIDER,
        _SEVERAL,
        Arg(
            "--available",
            "set it to available, rather than to error",
            dest="state",
            action="store_const",
            const="available",
            default="error",
        ),
    )

    def delete(self, service: Any, place: list[Any], found: Any, parsed_args: argparse.Namespace) -> None:
        service.reset_checkpoint_status(*place, found, parsed_args.state)


class HoldShow(Show):
    """Show why a checkpoint must not be deleted."""

    verb = "get_hold"
    args = (PROVIDER, CHECKPOINT)


class HoldSet(Show):
    """Have a checkpoint kept until it is released."""

    verb = "place_hold"
    args = (PROVIDER, CHECKPOINT, Arg("reason", "why"))


class HoldUnset(Show):
    """Let a checkpoint be deleted again (managers)."""

    verb = "release_hold"
    args = (PROVIDER, CHECKPOINT)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        super().call(parsed_args)
        return {}
