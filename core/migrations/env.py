"""Runs migrations on the connection that core.database hands over, inside its transaction."""

from alembic import context

from core.database import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
