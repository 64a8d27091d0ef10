"""Alembic's way in: uses the connection it is given."""

from alembic import context

from refloat.records import plans, schedule_tables  # noqa: F401
from refloat.records.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
