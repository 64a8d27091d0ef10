"""How many of an operation's last attempts ended with the death of their worker."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    # Not in batches: SQLite's table would be made anew, and rows that refer to its rows would go.
    op.add_column("operations", sa.Column("deaths", sa.Integer, nullable=False, server_default="0"))
