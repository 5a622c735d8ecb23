"""Alembic migrations of the database, numbered in one line; core.database.migrate runs them."""
