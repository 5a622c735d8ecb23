"""Alembic migrations of the database; applied by core.database when it is opened."""
