"""Operations: how far they are, and what can be done about them."""

from __future__ import annotations

from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import ALL, PAGE, PROJECT, List, Show

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
