"""What the payloads of operations say of checkpoints and plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.records.checkpoints import CheckpointRecord
from refloat.records.database import shown


def known_of(checkpoint: CheckpointRecord) -> dict[str, Any]:
    """How old a checkpoint is and when it was last proven."""
    return {
        "id": checkpoint.id,
        "plan": str(checkpoint.plan.get("name", "")),
        "created_at": shown(checkpoint.created_at),
        "verified": checkpoint.verified,
        "verified_at": shown(checkpoint.verified_at),
    }


def in_bank(checkpoint: CheckpointRecord) -> dict[str, Any]:
    """What an operation has to know to read a checkpoint."""
    made_by = {"plugins": dict(checkpoint.plugins)} if checkpoint.plugins else {}
    return {**made_by, "owner": checkpoint.owner}


def short(plan: Mapping[str, Any]) -> dict[str, str]:
    return {"id": str(plan.get("id", "")), "name": str(plan.get("name", ""))}
