"""What verifications found is kept with each checkpoint; the operation log tells of those before."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_OPERATIONS = sa.table(
    "operations",
    *(sa.column(name) for name in ("checkpoint_id", "kind", "state")),
    sa.column("ended_at", sa.DateTime),
    *(sa.column(name, sa.JSON) for name in ("result", "error")),
)
_CHECKPOINTS = sa.table(
    "checkpoints",
    *(sa.column(name) for name in ("id", "verified", "verified_depth")),
    sa.column("verified_at", sa.DateTime),
)


def upgrade() -> None:
    """Add the columns, and go through what verifications and restores have come to, the oldest first."""
    op.add_column("checkpoints", sa.Column("verified", sa.String(8), nullable=False, server_default="never"))
    op.add_column("checkpoints", sa.Column("verified_at", sa.DateTime))
    op.add_column(
        "checkpoints", sa.Column("verified_depth", sa.String(16), nullable=False, server_default="")
    )
    connection = op.get_bind()
    query = (
        sa.select(_OPERATIONS)
        .where(
            _OPERATIONS.c.kind.in_(("verify", "restore", "bank_verify")),
            _OPERATIONS.c.state.in_(("succeeded", "failed")),
            _OPERATIONS.c.ended_at.is_not(None),
        )
        .order_by(_OPERATIONS.c.ended_at)
    )
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(query).mappings():
        for identity, state in _said(row):
            found[identity] = {"verified": state, "verified_at": row["ended_at"], "verified_depth": "full"}
    for identity, values in found.items():
        connection.execute(sa.update(_CHECKPOINTS).where(_CHECKPOINTS.c.id == identity).values(values))


def _said(row: Any) -> list[tuple[str, str]]:
    """The checkpoints of which an operation has told, and what.

    A restore that succeeded may have left data out; of a whole bank it is only known what was bad.
    """
    result, error = _dict(row["result"]), _dict(row["error"])
    if row["kind"] == "bank_verify":
        damages = [each for each in result.get("damages") or () if not each.get("readable")]
        return [(str(each["checkpoint_id"]), "bad") for each in damages if each.get("checkpoint_id")]
    if row["state"] == "failed":
        return [(row["checkpoint_id"], "bad")] if error.get("error") == "BankDamaged" else []
    if row["kind"] == "verify" and result.get("status") in ("good", "bad"):
        return [(row["checkpoint_id"], result["status"])]
    return []


def _dict(value: Any) -> dict[str, Any]:
    found = json.loads(value) if isinstance(value, str) else value
    return found if isinstance(found, dict) else {}
