"""Operation logs."""

from __future__ import annotations

from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import RUNS, List, Show

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
