"""What is done with checkpoints, how far it is, and what has come of it."""

from __future__ import annotations

import argparse
from typing import Any

from osc_lib import exceptions

from refloat.client.osc.base import (
    ALL,
    CHECKPOINT,
    PAGE,
    PROJECT,
    PROVIDER,
    RUNS,
    SETTINGS,
    Arg,
    Create,
    CreateWithSettings,
    List,
    Show,
)

_OPERATION = Arg("operation", "id of the operation")

OperationList = List.of(
    "List operations, and how far they are.",
    "operations",
    ALL,
    Arg("--type", "of this type", metavar="<protect|restore|verify|copy|delete>"),
    Arg("--status", "in this status", metavar="<running|parked|succeeded|failed|cancelled>"),
    Arg("--checkpoint", "of this checkpoint", "checkpoint_id"),
    Arg("--plan", "of this plan", "plan_id"),
    *PAGE,
    PROJECT,
    columns=("Id", "Type", "Status", "Plan name", "Checkpoint id", "Created at", "Ended at", "Error info"),
    always={"dry_run": False},
)
OperationShow = Show.of(
    "Show an operation: progress, what runs, what has become of each resource, what went wrong.",
    "get_operation",
    _OPERATION,
)
OperationCancel = Show.of(
    "Stop an operation, and remove what it has created.", "cancel_operation", _OPERATION
)
OperationResume = Show.of("Have an operation go on that is parked.", "resume_operation", _OPERATION)
OperationPark = Show.of(
    "Stop an operation where it is, to be resumed or cancelled.", "park_operation", _OPERATION
)
OperationEvents = List.of(
    "List what has happened in an operation.",
    "operation_events",
    _OPERATION,
    columns=("Number", "Time", "Attempt", "Hook", "Resource", "Status", "Reason"),
)


RestoreList = List.of(
    "List restores.",
    "restores",
    *RUNS,
    columns=(
        *("Id", "Project id", "Provider id", "Checkpoint id", "Restore target", "Parameters", "Status"),
    ),
)
RestoreShow = Show.of("Show a restore.", "get_restore", Arg("restore", "id of the restore"))


class RestoreCreate(CreateWithSettings):
    """Start to restore a checkpoint."""

    verb = "create_restore"
    args = (
        PROVIDER,
        CHECKPOINT,
        Arg(
            "--only", "only this (TYPE#ID or TYPE#NAME), and what it needs; can be repeated", action="append"
        ),
        Arg("--keep-on-failure", "park it when it fails", action="store_true", default=False),
        Arg("--restore_target", "another cloud, of those that the service allows"),
        Arg("--restore_username", "who works there", None),
        Arg("--restore_password", "that user's password", None),
        *SETTINGS,
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


class RestoreDryRun(Show):
    """Begin to find out what a restore would do; the result of the operation tells.

    As in: restore plan PROVIDER CHECKPOINT -f value -c id; operation show ID.
    """

    args = (PROVIDER, CHECKPOINT, Arg("--only", "only this, and what it needs", action="append"))

    def call(self, parsed_args: argparse.Namespace) -> Any:
        where = parsed_args.provider_id, parsed_args.checkpoint_id
        return self.service.dry_run("restore", *where, **self.sent(parsed_args))


VerificationList = List.of(
    "List verifications.",
    "verifications",
    *RUNS,
    columns=("Id", "Project id", "Provider id", "Checkpoint id", "Parameters", "Status"),
)
VerificationShow = Show.of(
    "Show a verification.", "get_verification", Arg("verification", "id of the verification")
)
VerificationCreate = CreateWithSettings.of(
    "Start to verify a checkpoint.", "create_verification", PROVIDER, CHECKPOINT, *SETTINGS
)


class CopyCreate(Create):
    """Start to copy the checkpoints of a plan, or one checkpoint, to the bank of another provider."""

    verb, within = "create_copy", PROVIDER
    args = (
        PROVIDER,
        Arg("--to", "the provider (name or id) to whose bank they are copied", None, required=True),
        Arg("--plan", "id of the plan", "plan_id"),
        Arg("--checkpoint", "id of the checkpoint", "checkpoint_id"),
        Arg(
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


LogList = List.of(
    "List operation logs.",
    "operation_logs",
    *RUNS,
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
LogShow = Show.of(
    "Show an operation log.", "get_operation_log", Arg("operation_log", "id of the operation log")
)
