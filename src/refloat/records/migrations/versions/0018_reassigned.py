"""Checkpoints of projects that are gone, which were given to others."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    with op.batch_alter_table("checkpoints") as table:
        table.add_column(sa.Column("reassigned_from", sa.String(64)))
