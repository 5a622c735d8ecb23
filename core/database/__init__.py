"""The database of ModelLedger: SQLite or PostgreSQL."""
