"""Plans, checkpoints, and the legal holds on these."""

from __future__ import annotations

import argparse
from typing import Any

from refloat.client import resources as r
from refloat.client.osc.base import (
    ALL,
    CHECKPOINT,
    NAME,
    PAGE,
    PROJECT,
    PROVIDER,
    SETTINGS,
    STATUS,
    Arg,
    Create,
    CreateWithSettings,
    Delete,
    Find,
    List,
    Show,
    Update,
    options,
    resources,
    words,
)

PlanList = List.of(
    "List plans.",
    "plans",
    ALL,
    NAME,
    Arg("--description", "whose description contains this"),
    STATUS,
    *PAGE,
    PROJECT,
    columns=("Id", "Name", "Description", "Provider id", "Status"),
)
PlanShow = Find.of("Show a plan.", "find_plan", Arg("plan", "name or id"))
PlanCreate = CreateWithSettings.of(
    "Create a plan.",
    "create_plan",
    Arg("name", "what to call it"),
    PROVIDER,
    Arg("resources", "what to protect", read=resources, metavar="<id=type=name[=extra_info],...>"),
    *SETTINGS,
    Arg("--description", "a few words for people"),
    *options(r.Plan),
)
PlanUpdate = Update.of(
    "Change a plan.",
    "update_plan",
    Arg("plan_id", "name or id"),
    Arg("--name", "a new name"),
    Arg("--description", "a new description"),
    Arg("--resources", "what to protect from now on", read=resources, metavar="<id=type=name,...>"),
    Arg("--status", "a new status", metavar="<suspended|started>"),
    *options(r.Plan),
    finder="find_plan",
)
PlanDelete = Delete.of(
    "Delete plans; their checkpoints stay.",
    "delete_plan",
    Arg("plan", "name or id", nargs="+"),
    finder="find_plan",
)


_SEVERAL = Arg("checkpoint", "id of the checkpoint", nargs="+")


CheckpointList = List.of(
    "List the checkpoints of a provider.",
    "checkpoints",
    PROVIDER,
    ALL,
    Arg("--plan_id", "of this plan"),
    Arg("--start_date", "made on this day or later", metavar="<YYYY-MM-DD>"),
    Arg("--end_date", "with --start_date: made on this day or earlier", metavar="<YYYY-MM-DD>"),
    Arg("--project_id", "of this project (administrators)"),
    *PAGE,
    columns=("Id", "Project id", "Status", "Protection plan", "Extra info", "Created at"),
)
CheckpointShow = Show.of("Show a checkpoint.", "get_checkpoint", PROVIDER, CHECKPOINT)
CheckpointCreate = Create.of(
    "Protect a plan: start to make a checkpoint.",
    "create_checkpoint",
    PROVIDER,
    Arg("plan_id", "id of the plan"),
    Arg("--extra_info", "what to remember with it", read=words, nargs="*", metavar="<key=value>"),
    within=PROVIDER,
)
CheckpointDelete = Delete.of("Start to delete checkpoints.", "delete_checkpoint", PROVIDER, _SEVERAL)


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


HoldShow = Show.of("Show why a checkpoint must not be deleted.", "get_hold", PROVIDER, CHECKPOINT)
HoldSet = Show.of(
    "Have a checkpoint kept until it is released.", "place_hold", PROVIDER, CHECKPOINT, Arg("reason", "why")
)


class HoldUnset(Show):
    """Let a checkpoint be deleted again (managers)."""

    verb = "release_hold"
    args = (PROVIDER, CHECKPOINT)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        super().call(parsed_args)
        return {}
