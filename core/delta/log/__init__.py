"""The log of a Delta table, read from the log's own files."""
