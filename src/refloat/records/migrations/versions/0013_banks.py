"""Which bank is used where."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "banks",
        sa.Column("used_by", sa.String(1024), primary_key=True),
        sa.Column("bank_id", sa.String(32), nullable=False, index=True),
        sa.Column("since", sa.DateTime, nullable=False),
        sa.Column("head", sa.JSON(none_as_null=True)),
    )
