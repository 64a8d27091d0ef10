"""Verifications."""

from __future__ import annotations

from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import CHECKPOINT, PROVIDER, RUNS, SETTINGS, CreateWithSettings, List, Show

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
