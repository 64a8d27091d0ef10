"""What is told to others, when an operation began, and how old a plan's newest checkpoint may be."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    with op.batch_alter_table("plans") as table:
        table.add_column(sa.Column("objective", sa.Integer))
    with op.batch_alter_table("operations") as table:
        table.add_column(sa.Column("began_at", sa.DateTime))
    op.create_table(
        "notices",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("event_type", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(36), nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("due_at", sa.DateTime, nullable=False),
        sa.Column("given_up_at", sa.DateTime),
        sa.Column("reason", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("notices_by_destination", "notices", ["destination", "given_up_at", "number"])
    op.create_index("notices_by_subject", "notices", ["destination", "subject", "number"])
