"""Select rows of one version with the SQL of deltalake, which supports deletion vectors and column mapping."""

from __future__ import annotations

from typing import Any

import deltalake
import pyarrow as pa
from deltalake import exceptions

from core.entities import Field, Snapshot
from core.identifiers import quote_ansi

_OPTIONS = {
    # One partition at a time: the same rows come in the same order in every read.
    "datafusion.execution.target_partitions": "1",
    # Spark writes timestamps as INT96. DataFusion reads them as 64-bit nanoseconds, which wrap outside 1677–2262.
    "datafusion.execution.parquet.coerce_int96": "us",
}
_ROWS = "rows"

# deltalake 1.6.6 parses the statistics of all files if a query has no predicate that it can push down, and fails with
# these errors if the statistics are damaged. Statistics are optional, so no row may depend on them.
_DAMAGED_STATISTICS = ("Json error", "Malformed JSON")
_ZERO = {
    **dict.fromkeys(("byte", "short", "integer", "long", "float", "double"), "0"),
    "string": "''",
    "binary": "X''",
    "date": "DATE '1970-01-01'",
    "timestamp": "TIMESTAMP '1970-01-01T00:00:00Z'",
    "timestamp_ntz": "TIMESTAMP '1970-01-01T00:00:00'",
}


def count(table: deltalake.DeltaTable, snapshot: Snapshot) -> int:
    """Return the number of rows of the version *snapshot*, which *table* has open, from its data files.

    DataFusion answers count(*) from statistics, which may be damaged, unless there is a predicate.
    """
    predicate = _every_row(snapshot)
    where = "" if predicate is None else f" WHERE {predicate}"
    rows = _run(table, f"SELECT count(*) FROM {_ROWS}{where}")  # noqa: S608 - quoted
    return int(rows.read_all().column(0)[0].as_py())


def select(table: deltalake.DeltaTable, snapshot: Snapshot, selected: str, paging: str = "") -> pa.RecordBatchReader:
    """Return the rows of SELECT *selected* from the version *snapshot*, which *table* has open; *paging* ends the SQL.

    Damaged statistics of files do not matter, unless _every_row finds no predicate.
    """
    try:
        return _run(table, f"SELECT {selected} FROM {_ROWS}{paging}")  # noqa: S608 - quoted by the caller
    except exceptions.DeltaError as error:
        predicate = _every_row(snapshot)
        if predicate is None or not any(sign in str(error) for sign in _DAMAGED_STATISTICS):
            raise
    return _run(table, f"SELECT {selected} FROM {_ROWS} WHERE {predicate}{paging}")  # noqa: S608 - quoted


def _every_row(snapshot: Snapshot) -> str | None:
    """Return a predicate that is true for every row and that deltalake pushes down, or None.

    deltalake pushes down predicates on columns that are neither nested nor partition columns. DataFusion removes
    IS NULL on a column that is not nullable, so such a column is compared with a value.
    """
    usable = [field for field in snapshot.schema if _zero(field) and field.name not in snapshot.partition_columns]
    if not usable:
        return None
    field = next((field for field in usable if field.nullable), usable[0])
    name = quote_ansi(field.name)
    if field.nullable:
        return f"({name} IS NULL OR {name} IS NOT NULL)"
    return f"({name} >= {_zero(field)} OR {name} < {_zero(field)})"


def _zero(field: Field) -> str | None:
    return "0" if field.type.startswith("decimal") else _ZERO.get(field.type)


def _run(table: Any, sql: str) -> pa.RecordBatchReader:
    stream = deltalake.QueryBuilder(_OPTIONS).register(_ROWS, table).execute(sql)
    return pa.RecordBatchReader.from_stream(stream)
