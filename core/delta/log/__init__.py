"""The log of a Delta table, read from its own files."""
