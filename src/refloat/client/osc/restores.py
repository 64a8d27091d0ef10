"""Restores, and dry runs of them."""

from __future__ import annotations

import argparse
from typing import Any

from osc_lib import exceptions

from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import CHECKPOINT, PROVIDER, RUNS, SETTINGS, CreateWithSettings, List, Show

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
