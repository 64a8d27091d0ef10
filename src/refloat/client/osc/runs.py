"""Restores, verifications, copies, operation logs."""

from __future__ import annotations

import argparse
from typing import Any

from osc_lib import exceptions

from refloat.client.osc.arguments import arg
from refloat.client.osc.base import ALL, PAGE, PROJECT, List, Show
from refloat.client.osc.common import PROVIDER, SETTINGS, STATUS, WithSettings

# Restores and verifications

_RUN_COLUMNS = ("Id", "Project id", "Provider id", "Checkpoint id")


class RestoreList(List):
    """List restores."""

    verb = "restores"
    columns = (*_RUN_COLUMNS, "Restore target", "Parameters", "Status")
    args = (ALL, STATUS, *PAGE, PROJECT)


class RestoreShow(Show):
    """Show a restore."""

    verb, path = "get_restore", ("restore",)
    args = (arg("restore", "id of the restore"),)


class RestoreCreate(WithSettings):
    """Start to restore a checkpoint."""

    verb = "create_restore"
    args = (
        PROVIDER,
        arg("checkpoint_id", "id of the checkpoint"),
        arg(
            "--only", "only this (TYPE#ID or TYPE#NAME), and what it needs; can be repeated", action="append"
        ),
        arg("--keep-on-failure", "park it when it fails", action="store_true", default=False),
        arg("--restore_target", "another cloud, of those that the service allows"),
        arg("--restore_username", "who works there", None),
        arg("--restore_password", "that user's password", None),
        *SETTINGS,
    )

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """With what is needed to work in another cloud."""
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


class VerificationList(List):
    """List verifications."""

    verb = "verifications"
    columns = (*_RUN_COLUMNS, "Parameters", "Status")
    args = (ALL, STATUS, *PAGE, PROJECT)


class VerificationShow(Show):
    """Show a verification."""

    verb, path = "get_verification", ("verification",)
    args = (arg("verification", "id of the verification"),)


class VerificationCreate(WithSettings):
    """Start to verify a checkpoint."""

    verb = "create_verification"
    args = (PROVIDER, arg("checkpoint_id", "id of the checkpoint"), *SETTINGS)


class CopyCreate(Show):
    """Start to copy the checkpoints of a plan, or one checkpoint, to the bank of another provider."""

    verb, path = "create_copy", ("provider_id",)
    args = (
        PROVIDER,
        arg("--to", "the provider (name or id) to whose bank they are copied", None, required=True),
        arg("--plan", "id of the plan", "plan_id"),
        arg("--checkpoint", "id of the checkpoint", "checkpoint_id"),
        arg(
            "--allow-incomplete",
            "although some data stays in the cloud",
            None,
            action="store_true",
            default=False,
        ),
    )

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """Where to is a parameter."""
        settings = {"to": parsed_args.to, "allow_incomplete": parsed_args.allow_incomplete}
        return {**super().sent(parsed_args), "parameters": settings}


# Operation logs


class LogList(List):
    """List operation logs."""

    verb = "operation_logs"
    columns = (
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
    )
    args = (ALL, STATUS, *PAGE, PROJECT)


class LogShow(Show):
    """Show an operation log."""

    verb, path = "get_operation_log", ("operation_log",)
    args = (arg("operation_log", "id of the operation log"),)
