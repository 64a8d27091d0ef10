"""Holds are in the banks too: whether one is there yet, and when it was released."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("holds", sa.Column("in_bank", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("holds", sa.Column("released_at", sa.DateTime))
