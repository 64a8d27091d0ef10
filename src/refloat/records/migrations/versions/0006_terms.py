"""Checkpoints: which plugins made them; what the operator says, for all who use the database."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    with op.batch_alter_table("checkpoints") as table:
        table.add_column(sa.Column("plugins", sa.JSON(none_as_null=True)))
    op.create_table(
        "terms",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
    )
