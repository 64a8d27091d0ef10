"""What plans say of unfit resources and leave out; what checkpoints lack."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("plans", sa.Column("unfit", sa.String(8), nullable=False, server_default="skip"))
    op.add_column("plans", sa.Column("exclude", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("checkpoints", sa.Column("lacks", sa.JSON(none_as_null=True)))
