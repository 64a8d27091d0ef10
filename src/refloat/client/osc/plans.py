"""Plans, checkpoints, and the legal holds on these."""

from __future__ import annotations

import argparse
from typing import Any

from refloat.client import resources as r
from refloat.client.osc import base as o

PlanList = o.List.of(
    "List plans.",
    "plans",
    o.ALL,
    o.NAME,
    o.Arg("--description", "whose description contains this"),
    o.STATUS,
    *o.PAGE,
    o.PROJECT,
    columns=("Id", "Name", "Description", "Provider id", "Status"),
)
PlanShow = o.Find.of("Show a plan.", "find_plan", o.Arg("plan", "name or id"))
_EXCLUDE = o.Arg("--exclude", "what to leave out", read=o.resources, metavar="<id=type=name,...>")
PlanCreate = o.CreateWithSettings.of(
    "Create a plan.",
    "create_plan",
    o.Arg("name", "what to call it"),
    o.PROVIDER,
    o.Arg("resources", "what to protect", read=o.resources, metavar="<id=type=name[=extra_info],...>"),
    _EXCLUDE,
    *o.SETTINGS,
    o.Arg("--description", "a few words for people"),
    *o.options(r.Plan),
)
PlanUpdate = o.Update.of(
    "Change a plan.",
    "update_plan",
    o.Arg("plan_id", "name or id"),
    o.Arg("--name", "a new name"),
    o.Arg("--description", "a new description"),
    o.Arg("--resources", "what to protect from now on", read=o.resources, metavar="<id=type=name,...>"),
    _EXCLUDE,
    o.Arg("--status", "a new status", metavar="<suspended|started>"),
    *o.options(r.Plan),
    finder="find_plan",
)
PlanDelete = o.Delete.of(
    "Delete plans; their checkpoints stay.",
    "delete_plan",
    o.Arg("plan", "name or id", nargs="+"),
    finder="find_plan",
)


_SEVERAL = o.Arg("checkpoint", "id of the checkpoint", nargs="+")


CheckpointList = o.List.of(
    "List the checkpoints of a provider.",
    "checkpoints",
    o.PROVIDER,
    o.ALL,
    o.Arg("--plan_id", "of this plan"),
    o.Arg("--start_date", "made on this day or later", metavar="<YYYY-MM-DD>"),
    o.Arg("--end_date", "with --start_date: made on this day or earlier", metavar="<YYYY-MM-DD>"),
    o.Arg("--project_id", "of this project (administrators)"),
    *o.PAGE,
    columns=("Id", "Project id", "Status", "Protection plan", "Extra info", "Created at"),
)
CheckpointShow = o.Show.of("Show a checkpoint.", "get_checkpoint", o.PROVIDER, o.CHECKPOINT)
_SAID = (
    o.Arg("--name", "what to call it"),
    o.Arg("--note", "why it is made"),
    o.Arg("--labels", "its labels", read=o.words, nargs="*", metavar="<key=value>"),
    o.Arg("--expires_at", "when nobody wants it any more: a time, or 30d"),
    o.Arg("--keep", "no retention takes it", None, action="store_true", default=None),
)
CheckpointCreate = o.Create.of(
    "Protect a plan: start to make a checkpoint.",
    "create_checkpoint",
    o.PROVIDER,
    o.Arg("plan_id", "id of the plan"),
    o.Arg("--extra_info", "what to remember with it", read=o.words, nargs="*", metavar="<key=value>"),
    *_SAID,
    within=o.PROVIDER,
)
CheckpointUpdate = o.Show.of(
    "Change what is said of a checkpoint.", "update_checkpoint", o.PROVIDER, o.CHECKPOINT, *_SAID
)
CheckpointDelete = o.Delete.of("Start to delete checkpoints.", "delete_checkpoint", o.PROVIDER, _SEVERAL)


class CheckpointReset(o.Delete):
    """Set the status of checkpoints by hand."""

    args = (
        o.PROVIDER,
        _SEVERAL,
        o.Arg(
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


HoldShow = o.Show.of("Show why a checkpoint must not be deleted.", "get_hold", o.PROVIDER, o.CHECKPOINT)
HoldSet = o.Show.of(
    "Have a checkpoint kept until it is released.",
    "place_hold",
    o.PROVIDER,
    o.CHECKPOINT,
    o.Arg("reason", "why"),
)


class HoldUnset(o.Show):
    """Let a checkpoint be deleted again (managers)."""

    verb = "release_hold"
    args = (o.PROVIDER, o.CHECKPOINT)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        super().call(parsed_args)
        return {}
