"""Runs of schedules: what their retention kept, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    with op.batch_alter_table("firings") as table:
        table.add_column(sa.Column("kept", sa.JSON, nullable=False, server_default="[]"))
