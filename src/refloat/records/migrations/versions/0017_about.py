"""Checkpoints: what people say of them, who asked for them, how large they are, how long they took."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    with op.batch_alter_table("checkpoints") as table:
        table.add_column(sa.Column("about", sa.JSON, nullable=False, server_default="{}"))
        table.add_column(sa.Column("size", sa.BigInteger))
        table.add_column(sa.Column("seconds", sa.Integer))
