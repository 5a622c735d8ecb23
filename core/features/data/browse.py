"""Browse tables: list them, show their history and any version, compare versions, run SQL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

import pyarrow as pa

from core.access.permissions import Action
from core.delta.diff import diff_versions
from core.delta.sql.query import QueryResult, run_query
from core.delta.version_at import version_at
from core.delta.wide_times import with_text_for_wide_times
from core.entities import Actor, Commit, ReadVerdict, Snapshot, Table, TableDiff
from core.errors import CoreError, DataUnreadable
from core.features.history.moment import Moment
from core.features.stores import Stores
from core.redact import masked


@dataclass(frozen=True, kw_only=True)
class TableSummary:
    """A row of the list of tables. If the log cannot be read, *problem* says why and other fields are None."""

    name: str
    uri: str
    version: int | None
    rows: int | None
    timestamp: datetime | None
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class VersionView:
    """One version: its snapshot from the log, whether its rows can be read, and a *sample* of them (None if not).

    Columns of the sample with times outside the years 1 to 9999 are text.
    *rows* is counted if the log does not record it, and None if the rows cannot be read either.
    """

    snapshot: Snapshot
    verdict: ReadVerdict
    rows: int | None
    sample: pa.Table | None


def list_tables(stores: Stores, actor: Actor, *, at: Moment | None = None) -> tuple[TableSummary, ...]:
    """Return the registered tables by name, now or at the version that each had at a moment.

    A table that cannot be opened, or that had no version then, is listed with its problem. Tables that were
    registered later are listed too: their commits have times, their registration has none.
    """
    stores.audit.require(actor, Action.DATA_READ)
    return tuple(_summary(stores, table, at) for table in stores.catalog.tables())


def table_history(
    stores: Stores, actor: Actor, table: str, *, limit: int | None = None, at: Moment | None = None
) -> tuple[Commit, ...]:
    """Return the commits of *table* until now or until a moment, newest first. Raises TableNotFound, LogCorrupt."""
    stores.audit.require(actor, Action.DATA_READ, table)
    resolved = stores.catalog.resolve(table)
    if at is None:
        return stores.engine.history(resolved, limit=limit)
    commits = (commit for commit in stores.engine.history(resolved) if commit.timestamp <= at.time)
    return tuple(islice(commits, limit))


def table_snapshots(
    stores: Stores, actor: Actor, table: str, *, newest: int | None = None, at: Moment | None = None
) -> tuple[Snapshot, ...]:
    """Return rows, files and schema of each of the *newest* versions, newest first, from the log alone.

    With *at*, those of these versions that existed at a moment.
    """
    stores.audit.require(actor, Action.DATA_READ, table)
    snapshots = stores.engine.snapshots(stores.catalog.resolve(table), newest=newest)
    return tuple(snapshot for snapshot in snapshots if at is None or snapshot.timestamp <= at.time)


def show_version(
    stores: Stores, actor: Actor, table: str, version: int | None = None, *, rows: int = 5, offset: int = 0
) -> VersionView:
    """Return a version with a sample of *rows* rows from *offset* on.

    A version whose files are gone has no sample; its verdict says how they were lost.

    Raises:
        TableNotFound, VersionNotFound, LogExpired
    """
    resolved, pinned = stores.pin(table, version)
    stores.audit.require(actor, Action.DATA_READ, str(pinned))
    snapshot = stores.engine.snapshot(resolved, version=pinned.version)
    verdict = stores.engine.readable(resolved, pinned.version)
    sample, count = None, snapshot.rows
    if verdict.is_readable:
        count = _count(stores, resolved, pinned.version) if count is None else count
        sample = with_text_for_wide_times(
            stores.engine.read(resolved, version=pinned.version, limit=rows, offset=offset)
        )
    return VersionView(snapshot=snapshot, verdict=verdict, rows=count, sample=sample)


def compare_versions(
    stores: Stores, actor: Actor, table: str, before: int, after: int, *, key: str | None = None
) -> TableDiff:
    """Return the rows that were added, removed and, with a key, changed.

    Raises:
        VersionNotFound, ColumnNotFound, DataUnreadable
    """
    stores.audit.require(actor, Action.DATA_READ, table)
    return diff_versions(stores.engine, stores.catalog.resolve(table), before, after, key=key)


def query(stores: Stores, actor: Actor, sql: str, *, max_rows: int = 10_000, at: Moment | None = None) -> QueryResult:
    """Run one SELECT over registered tables at any version. Raises BadQuery, TableNotFound, VersionNotFound.

    A table without VERSION or TIMESTAMP AS OF is read at its newest version, now or at a moment.
    Columns with times outside the years 1 to 9999 are text.
    """
    stores.audit.require(actor, Action.DATA_QUERY)
    result = run_query(stores.engine, stores.catalog, sql, max_rows=max_rows, at=at.time if at else None)
    return replace(result, rows=with_text_for_wide_times(result.rows))


def _summary(stores: Stores, table: Table, at: Moment | None) -> TableSummary:
    try:
        snapshot = stores.engine.snapshot(table, version=version_at(stores.engine, table, at.time) if at else None)
        rows = snapshot.rows
        if rows is None:
            rows = _count(stores, table, snapshot.version)
    except CoreError as error:
        uri, problem = masked(table.uri), masked(str(error))
        return TableSummary(name=table.name, uri=uri, version=None, rows=None, timestamp=None, problem=problem)
    return TableSummary(
        name=table.name,
        uri=masked(table.uri),
        version=snapshot.version,
        rows=rows,
        timestamp=snapshot.timestamp,
        problem=None,
    )


def _count(stores: Stores, table: Table, version: int) -> int | None:
    """Return the number of rows, or None if the rows cannot be read."""
    try:
        return stores.engine.count(table, version=version)
    except DataUnreadable:
        return None
