"""What Refloat adds to Karbor's commands: operations, upkeep of banks, holds."""

from __future__ import annotations

import argparse
from typing import Any, ClassVar

from refloat.client.osc.arguments import Arg, arg
from refloat.client.osc.base import ALL, PAGE, PROJECT, List, Show
from refloat.client.osc.common import PROVIDER

_OPERATION = arg("operation", "id of the operation")
_CHECKPOINT = arg("checkpoint_id", "id of the checkpoint")


class OperationList(List):
    """List operations, and how far they are."""

    verb = "operations"
    columns = ("Id", "Type", "Status", "Plan name", "Checkpoint id", "Created at", "Ended at", "Error info")
    args = (
        ALL,
        arg("--type", "of this type", metavar="<protect|restore|verify|copy|delete>"),
        arg("--status", "in this status", metavar="<running|parked|succeeded|failed|cancelled>"),
        arg("--checkpoint", "of this checkpoint", "checkpoint_id"),
        arg("--plan", "of this plan", "plan_id"),
        *PAGE,
        PROJECT,
    )

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Without those that only look."""
        return {**super().sent(parsed_args), "dry_run": False}


class OperationShow(Show):
    """Show an operation: progress, what runs, what has become of each resource, what went wrong."""

    verb, path = "get_operation", ("operation",)
    args = (_OPERATION,)


class OperationCancel(Show):
    """Stop an operation, and remove what it has created."""

    verb, path = "cancel_operation", ("operation",)
    args = (_OPERATION,)


class OperationResume(Show):
    """Have an operation go on that is parked."""

    verb, path = "resume_operation", ("operation",)
    args = (_OPERATION,)


class OperationPark(Show):
    """Stop an operation where it is, to be resumed or cancelled."""

    verb, path = "park_operation", ("operation",)
    args = (_OPERATION,)


class OperationEvents(List):
    """List what has happened in an operation."""

    verb, path = "operation_events", ("operation",)
    columns = ("Number", "Time", "Attempt", "Hook", "Resource", "Status", "Reason")
    args = (_OPERATION,)


class RestorePlan(Show):
    """Begin to find out what a restore would do; the result of the operation tells.

    As in: restore plan PROVIDER CHECKPOINT -f value -c id; operation show ID.
    """

    args = (PROVIDER, _CHECKPOINT, arg("--only", "only this, and what it needs", action="append"))

    def call(self, parsed_args: argparse.Namespace) -> Any:
        """Ask for the dry run."""
        only = {"only": parsed_args.only} if parsed_args.only else {}
        return self.service.dry_run("restore", parsed_args.provider_id, parsed_args.checkpoint_id, **only)


class _OnBank(Show):
    """Upkeep of a provider's bank."""

    action: ClassVar[str]
    verb, path = "maintain_bank", ("provider_id",)
    args: ClassVar[tuple[Arg, ...]] = (PROVIDER,)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        """Begin it."""
        return self.service.maintain_bank(parsed_args.provider_id, self.action, **self.sent(parsed_args))


class BankInfo(_OnBank):
    """Begin to count what is in a provider's bank (administrators)."""

    action = "info"


class BankVerify(_OnBank):
    """Begin to verify a provider's bank (administrators)."""

    action = "verify"
    args = (
        PROVIDER,
        arg("--depth", "how thoroughly", choices=("manifests", "existence", "full")),
        arg("--sample", "so many percent of the data, chosen at random", type=float),
    )


class BankCollect(_OnBank):
    """Begin to remove from a provider's bank what no checkpoint needs (administrators)."""

    action = "collect"


class HoldShow(Show):
    """Show why a checkpoint must not be deleted."""

    verb, path = "get_hold", ("provider_id", "checkpoint_id")
    args = (PROVIDER, _CHECKPOINT)


class HoldSet(Show):
    """Have a checkpoint kept until it is released."""

    verb, path = "place_hold", ("provider_id", "checkpoint_id", "reason")
    args = (PROVIDER, _CHECKPOINT, arg("reason", "why"))


class HoldUnset(Show):
    """Let a checkpoint be deleted again (managers)."""

    verb, path = "release_hold", ("provider_id", "checkpoint_id")
    args = (PROVIDER, _CHECKPOINT)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        """Release it."""
        super().call(parsed_args)
        return {}
