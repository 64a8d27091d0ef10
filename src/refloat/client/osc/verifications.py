"""Verifications."""

from __future__ import annotations

from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import CHECKPOINT, PROVIDER, RUNS, SETTINGS, CreateWithSettings, List, Show


class VerificationList(List):
    """List verifications."""

    verb = "verifications"
    columns = ("Id", "Project id", "Provider id", "Checkpoint id", "Parameters", "Status")
    args = RUNS


class VerificationShow(Show):
    """Show a verification."""

    verb = "get_verification"
    args = (Arg("verification", "id of the verification"),)


class VerificationCreate(CreateWithSettings):
    """Start to verify a checkpoint."""

    verb = "create_verification"
    args = (PROVIDER, CHECKPOINT, *SETTINGS)
