"""What the service remembers: checkpoints, quotas, workers; a plan's status, who runs an operation."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("plans") as table:
        table.add_column(sa.Column("status", sa.String(255), nullable=False, server_default="suspended"))
    with op.batch_alter_table("operations") as table:
        table.add_column(sa.Column("runner", sa.String(16), nullable=False, server_default="command"))
        table.add_column(sa.Column("authority", sa.JSON))
    op.create_index("plans_by_time", "plans", ["project_id", "created_at", "id"])
    op.create_index("operations_by_runner", "operations", ["runner", "state"])
    op.create_index("operations_by_time", "operations", ["project_id", "created_at", "id"])
    op.create_table(
        "checkpoints",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("provider_id", sa.String(255), nullable=False),
        sa.Column("plan_id", sa.String(36), nullable=False, index=True),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("status", sa.String(32), nullable=False, index=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("extra_info", sa.JSON, nullable=False),
        sa.Column("graph", sa.JSON),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_index(
        "checkpoints_by_provider", "checkpoints", ["project_id", "provider_id", "created_at", "id"]
    )
    op.create_table(
        "quotas",
        sa.Column("project_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("limit", sa.Integer, nullable=False),
    )
    op.create_table(
        "quota_classes",
        sa.Column("class_name", sa.String(255), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("limit", sa.Integer, nullable=False),
    )
    op.create_table(
        "services",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("binary", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("disabled_reason", sa.String(255)),
        sa.UniqueConstraint("binary", "host"),
    )
