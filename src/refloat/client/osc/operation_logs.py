"""Operation logs."""

from __future__ import annotations

from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import RUNS, List, Show


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
    args = RUNS


class LogShow(Show):
    """Show an operation log."""

    verb = "get_operation_log"
    args = (Arg("operation_log", "id of the operation log"),)
