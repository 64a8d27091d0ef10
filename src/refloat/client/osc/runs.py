"""What is done with checkpoints, how far it is, and what has come of it."""

from __future__ import annotations

import argparse
from typing import Any

from osc_lib import exceptions

from refloat.client.osc import base as o
from refloat.errors import InvalidInput
from refloat.mappings import MAPPABLE, read_all

_OPERATION = o.Arg("operation", "id of the operation")

OperationList = o.List.of(
    "List operations, and how far they are.",
    "operations",
    o.ALL,
    o.Arg("--type", "of this type", metavar="<protect|restore|verify|copy|delete>"),
    o.Arg("--status", "in this status", metavar="<running|parked|succeeded|failed|cancelled>"),
    o.Arg("--checkpoint", "of this checkpoint", "checkpoint_id"),
    o.Arg("--plan", "of this plan", "plan_id"),
    *o.PAGE,
    o.PROJECT,
    columns=("Id", "Type", "Status", "Plan name", "Checkpoint id", "Created at", "Ended at", "Error info"),
    always={"dry_run": False},
)
OperationShow = o.Show.of(
    "Show an operation: progress, what runs, what has become of each resource, what went wrong.",
    "get_operation",
    _OPERATION,
)
OperationCancel = o.Show.of(
    "Stop an operation, and remove what it has created.", "cancel_operation", _OPERATION
)
OperationResume = o.Show.of("Have an operation go on that is parked.", "resume_operation", _OPERATION)
OperationPark = o.Show.of(
    "Stop an operation where it is, to be resumed or cancelled.", "park_operation", _OPERATION
)
OperationEvents = o.List.of(
    "List what has happened in an operation.",
    "operation_events",
    _OPERATION,
    columns=("Number", "Time", "Attempt", "Hook", "Resource", "Status", "Reason"),
)


RestoreList = o.List.of(
    "List restores.",
    "restores",
    *o.RUNS,
    columns=(
        *("Id", "Project id", "Provider id", "Checkpoint id", "Restore target", "Parameters", "Status"),
    ),
)
RestoreShow = o.Show.of("Show a restore.", "get_restore", o.Arg("restore", "id of the restore"))


_EXISTING = (
    o.Arg(
        "--existing",
        "what becomes of originals that are there",
        metavar="<skip|repair|beside|replace|ignore>",
    ),
    o.Arg("--no-safety", "make no checkpoint of what is replaced before", action="store_true"),
    o.Arg("--beside-name", "what is made beside them is called so; {name} and {date} are filled in"),
)


_MAPS = (
    o.Arg(
        "--map",
        f"use the new one where the checkpoint names the old one ({', '.join(MAPPABLE)}); can be repeated",
        "mappings",
        action="append",
        metavar="<kind:old=new>",
    ),
    o.Arg("--map-file", "the same from a file of YAML", None),
)


class _Mapping(o.Show):
    """A command that takes mappings."""

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        found = super().sent(parsed_args)
        if parsed_args.map or parsed_args.map_file:
            kept = self.kept(parsed_args)
            try:
                found["mappings"] = read_all(parsed_args.map or (), parsed_args.map_file, kept)
            except InvalidInput as exc:
                raise exceptions.CommandError(str(exc)) from exc
        return found

    def kept(self, parsed_args: argparse.Namespace) -> Any:
        """The mappings that these are added to."""
        return None


class _Create(_Mapping, o.CreateWithSettings):
    """Creates something that has parameters and mappings."""


class RestoreCreate(_Create):
    """Start to restore a checkpoint."""

    verb = "create_restore"
    args = (
        o.PROVIDER,
        o.CHECKPOINT,
        o.Arg(
            "--only", "only this (TYPE#ID or TYPE#NAME), and what it needs; can be repeated", action="append"
        ),
        o.Arg("--leave-out", "not this, nor what only that needs; can be repeated", action="append"),
        *_EXISTING,
        *_MAPS,
        o.Arg("--keep-on-failure", "park it when it fails", action="store_true", default=False),
        o.Arg("--restore_target", "another cloud, of those that the service allows"),
        o.Arg("--restore_username", "who works there", None),
        o.Arg("--restore_password", "that user's password", None),
        *o.SETTINGS,
    )

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        found = super().sent(parsed_args)
        if parsed_args.restore_target is None:
            return found
        for name in ("username", "password"):
            if getattr(parsed_args, f"restore_{name}") is None:
                raise exceptions.CommandError(f"Must specify {name} for restore_target.")
        found["restore_auth"] = {
            "type": "password",
            "username": parsed_args.restore_username,
            "password": parsed_args.restore_password,
        }
        return found


_KEPT = o.Arg("restore_plan", "name or id of the restore plan")
_CHOICES = (
    o.Arg("--only", "only this (TYPE#ID or TYPE#NAME), and what it needs; can be repeated", action="append"),
    o.Arg("--leave-out", "not this, nor what only that needs; can be repeated", action="append"),
    *_EXISTING,
    *_MAPS,
    *o.SETTINGS,
)
_APPROVAL = o.Arg("--approval", "somebody else has to approve it", action="store_true", default=False)

RestorePlanList = o.List.of(
    "List restore plans that are kept.",
    "restore_plans",
    o.ALL,
    o.Arg("--status", "in this status"),
    o.Arg("--checkpoint", "of this checkpoint", "checkpoint_id"),
    *o.PAGE,
    o.PROJECT,
    columns=("Id", "Name", "Status", "Checkpoint id", "Approved by", "Created at"),
)
RestorePlanShow = o.Find.of("Show a restore plan.", "find_restore_plan", _KEPT)
RestorePlanCreate = _Create.of(
    "Begin to make a restore plan: what a restore of a checkpoint would do, kept.",
    "create_restore_plan",
    o.PROVIDER,
    o.CHECKPOINT,
    o.Arg("--name", "what to call it"),
    _APPROVAL,
    *_CHOICES,
)
RestorePlanApprove = o.Show.of(
    "Approve a restore plan as it is.",
    "approve_restore_plan",
    o.Arg("restore_plan", "id of the restore plan"),
)
RestorePlanDelete = o.Delete.of(
    "Forget restore plans.",
    "delete_restore_plan",
    o.Arg("restore_plan", "name or id", nargs="+"),
    finder="find_restore_plan",
)


class RestorePlanSet(_Mapping):
    """Choose otherwise for a restore plan; without options it is made again as the cloud is now.

    Mappings are added to those that it has.
    """

    verb = "change_restore_plan"
    args = (
        o.Arg("restore_plan", "id of the restore plan"),
        o.Arg("--name", "a new name"),
        _APPROVAL,
        *_CHOICES,
        o.Arg("--no-map", "forget the mappings that it has", None, action="store_true", default=False),
    )

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        return {**({"mappings": {}} if parsed_args.no_map else {}), **super().sent(parsed_args)}

    def kept(self, parsed_args: argparse.Namespace) -> Any:
        if parsed_args.no_map:
            return None
        return self.service.get_restore_plan(parsed_args.restore_plan).choices.get("mappings")


class RestorePlanRun(o.Show):
    """Start to restore what a restore plan says."""

    args = (
        o.Arg("restore_plan", "id of the restore plan"),
        o.Arg("--keep-on-failure", "park it when it fails", action="store_true", default=False),
    )

    def call(self, parsed_args: argparse.Namespace) -> Any:
        return self.service.create_restore(restore_plan_id=parsed_args.restore_plan, **self.sent(parsed_args))


class RestoreDryRun(_Mapping):
    """Begin to find out what a restore would do; the result of the operation tells.

    As in: restore plan PROVIDER CHECKPOINT -f value -c id; operation show ID.
    """

    args = (
        o.PROVIDER,
        o.CHECKPOINT,
        o.Arg("--only", "only this, and what it needs", action="append"),
        o.Arg("--leave-out", "not this, nor what only that needs", action="append"),
        *_EXISTING,
        *_MAPS,
    )

    def call(self, parsed_args: argparse.Namespace) -> Any:
        where = parsed_args.provider_id, parsed_args.checkpoint_id
        return self.service.dry_run("restore", *where, **self.sent(parsed_args))


VerificationList = o.List.of(
    "List verifications.",
    "verifications",
    *o.RUNS,
    columns=("Id", "Project id", "Provider id", "Checkpoint id", "Parameters", "Status"),
)
VerificationShow = o.Show.of(
    "Show a verification.", "get_verification", o.Arg("verification", "id of the verification")
)
VerificationCreate = o.CreateWithSettings.of(
    "Start to verify a checkpoint.", "create_verification", o.PROVIDER, o.CHECKPOINT, *o.SETTINGS
)


class CopyCreate(o.Create):
    """Start to copy the checkpoints of a plan, or one checkpoint, to the bank of another provider."""

    verb, within = "create_copy", o.PROVIDER
    args = (
        o.PROVIDER,
        o.Arg("--to", "the provider (name or id) to whose bank they are copied", None, required=True),
        o.Arg("--plan", "id of the plan", "plan_id"),
        o.Arg("--checkpoint", "id of the checkpoint", "checkpoint_id"),
        o.Arg(
            "--allow-incomplete",
            "although some data stays in the cloud",
            None,
            action="store_true",
            default=False,
        ),
    )

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        settings = {"to": parsed_args.to, "allow_incomplete": parsed_args.allow_incomplete}
        return {**super().sent(parsed_args), "parameters": settings}


LogList = o.List.of(
    "List operation logs.",
    "operation_logs",
    *o.RUNS,
    columns=(
        "Id",
        "Operation Type",
        "Checkpoint id",
        "Plan Id",
        "Provider id",
        "Restore Id",
        "Scheduled Operation Id",
        "Status",
        "Started At",
        "Ended At",
        "Error Info",
        "Extra Info",
    ),
)
LogShow = o.Show.of(
    "Show an operation log.", "get_operation_log", o.Arg("operation_log", "id of the operation log")
)
