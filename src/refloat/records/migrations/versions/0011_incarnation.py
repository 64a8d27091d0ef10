"""Which database this is, and how far it has come."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    table = op.create_table(
        "incarnation",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("brought_back_at", sa.DateTime),
    )
    op.bulk_insert(table, [{"id": str(uuid.uuid4()), "number": 1, "sequence": 0}])
