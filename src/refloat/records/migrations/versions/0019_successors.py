"""What restores have made in the place of what was gone."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "successors",
        sa.Column("project_id", sa.String(64), primary_key=True),
        sa.Column("region", sa.String(255), primary_key=True),
        sa.Column("type", sa.String(255), primary_key=True),
        sa.Column("source_id", sa.String(255), primary_key=True),
        sa.Column("new_id", sa.String(255), nullable=False),
        sa.Column("made_at", sa.DateTime, nullable=False),
    )
