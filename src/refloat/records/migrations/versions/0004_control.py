"""Control over the service's operations, copies, and what is granted but not written down yet."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("operations") as table:
        table.add_column(sa.Column("wish", sa.String(16), nullable=False, server_default=""))
    with op.batch_alter_table("checkpoints") as table:
        table.add_column(sa.Column("copied_from", sa.JSON))
    op.create_table(
        "grants",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("until", sa.DateTime, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
