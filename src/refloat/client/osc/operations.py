"""Operations: how far they are, and what can be done about them."""

from __future__ import annotations

import argparse
from typing import Any

from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import ALL, PAGE, PROJECT, List, Show

_OPERATION = Arg("operation", "id of the operation")


class OperationList(List):
    """List operations, and how far they are."""

    verb = "operations"
    columns = ("Id", "Type", "Status", "Plan name", "Checkpoint id", "Created at", "Ended at", "Error info")
    args = (
        ALL,
        Arg("--type", "of this type", metavar="<protect|restore|verify|copy|delete>"),
        Arg("--status", "in this status", metavar="<running|parked|succeeded|failed|cancelled>"),
        Arg("--checkpoint", "of this checkpoint", "checkpoint_id"),
        Arg("--plan", "of this plan", "plan_id"),
        *PAGE,
        PROJECT,
    )

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        return {**super().sent(parsed_args), "dry_run": False}


class OperationShow(Show):
    """Show an operation: progress, what runs, what has become of each resource, what went wrong."""

    verb = "get_operation"
    args = (_OPERATION,)


class OperationCancel(Show):
    """Stop an operation, and remove what it has created."""

    verb = "cancel_operation"
    args = (_OPERATION,)


class OperationResume(Show):
    """Have an operation go on that is parked."""

    verb = "resume_operation"
    args = (_OPERATION,)


class OperationPark(Show):
    """Stop an operation where it is, to be resumed or cancelled."""

    verb = "park_operation"
    args = (_OPERATION,)


class OperationEvents(List):
    """List what has happened in an operation."""

    verb = "operation_events"
    columns = ("Number", "Time", "Attempt", "Hook", "Resource", "Status", "Reason")
    args = (_OPERATION,)
