"""Quote names and texts for SQL, one function per dialect."""

from __future__ import annotations


def quote_spark(name: str) -> str:
    """Return *name* as an identifier of Spark SQL."""
    return "`" + name.replace("`", "``") + "`"


def quote_ansi(name: str) -> str:
    """Return *name* as an identifier of standard SQL, as DuckDB and DataFusion (delta-rs) read it."""
    return '"' + name.replace('"', '""') + '"'


def quote_spark_text(text: str) -> str:
    """Return *text* as a string literal of Spark SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
