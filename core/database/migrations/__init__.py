"""Alembic migrations of the database; applied by core.database.engine when it is opened."""
