"""Hash rows, to find those that are equal: 64 bits per row, for counts that may be wrong once in a lifetime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.identifiers import quote_ansi

Hashes = npt.NDArray[np.uint64]


@contextmanager
def row_hasher() -> Iterator[Callable[[pa.Table], Hashes]]:
    """Give a function that returns a hash of each row; equal rows of tables with the same types have the same hash.

    It returns no hashes where DuckDB does not have a column's type.
    """
    with duckdb.connect(":memory:") as connection:

        def hashes(rows: pa.Table) -> Hashes:
            names = ", ".join(quote_ansi(name) for name in rows.column_names)
            connection.register("incoming", rows)
            try:
                answer = connection.execute(f"SELECT hash({names}) AS hash FROM incoming").fetchnumpy()  # noqa: S608 -- quoted
            except duckdb.Error:
                return np.empty(0, dtype=np.uint64)
            finally:
                connection.unregister("incoming")
            return np.asarray(answer["hash"], dtype=np.uint64)

        yield hashes
