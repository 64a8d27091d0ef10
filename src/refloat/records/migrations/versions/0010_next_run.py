"""Triggers: when they fire next."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    with op.batch_alter_table("triggers") as table:
        table.add_column(sa.Column("next_run_at", sa.DateTime))
        table.create_index("triggers_due", ["next_run_at"])
    # Over, as far as anybody knows: a worker works out when each fires next.
    op.execute("UPDATE triggers SET next_run_at = created_at")
