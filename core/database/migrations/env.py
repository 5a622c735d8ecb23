"""Runs the migrations on the connection that core.database.migrate passes, inside its transaction."""

from alembic import context

from core.database.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
