"""Triggers, scheduled operations and their firings, legal holds; which schedule an operation is of."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("operations") as table:
        table.add_column(
            sa.Column("scheduled_operation_id", sa.String(36), nullable=False, server_default="")
        )
    op.create_index("ix_operations_scheduled_operation_id", "operations", ["scheduled_operation_id"])
    op.create_table(
        "triggers",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("properties", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_index("triggers_by_time", "triggers", ["project_id", "created_at", "id"])
    op.create_table(
        "scheduled_operations",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255)),
        sa.Column("operation_type", sa.String(64), nullable=False),
        sa.Column("trigger_id", sa.String(36), sa.ForeignKey("triggers.id"), index=True),
        sa.Column("plan_id", sa.String(36), nullable=False),
        sa.Column("definition", sa.JSON, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("authority", sa.JSON),
        sa.Column("retired", sa.JSON, nullable=False),
        sa.Column("next_due", sa.DateTime),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("checked_at", sa.DateTime, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_index(
        "scheduled_operations_by_time", "scheduled_operations", ["project_id", "created_at", "id"]
    )
    op.create_index("scheduled_operations_due", "scheduled_operations", ["enabled", "next_due"])
    op.create_table(
        "firings",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column(
            "schedule_id",
            sa.String(36),
            sa.ForeignKey("scheduled_operations.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("due_at", sa.DateTime, nullable=False),
        sa.Column("claimed_at", sa.DateTime, nullable=False),
        sa.Column("ended_at", sa.DateTime),
        sa.Column("manual", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("operation_id", sa.String(36), nullable=False),
        sa.Column("checkpoint_id", sa.String(36), nullable=False),
        sa.Column("deletions", sa.JSON, nullable=False),
        sa.UniqueConstraint("schedule_id", "due_at"),
    )
    op.create_index("firings_by_state", "firings", ["state", "due_at"])
    op.create_table(
        "holds",
        sa.Column("checkpoint_id", sa.String(36), primary_key=True),
        sa.Column("project_id", sa.String(64), nullable=False, index=True),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(255), nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
