"""Compare a table version with what a training recorded about its data: another table may have the same name now.

A table that was deleted and written again has the same name, and it may have the same version numbers. These facts
show the difference, the strongest first:

- Content SHA-256: it decides. Equal rows are the training data, wherever they are stored. It reads every row, so it is
  compared only on demand.
- Table id: every new table has another one, also a clone. A rename, a move and RESTORE keep it. The id is compared with
  that of the same version, because some writers change it when they replace the schema.
- Time of the commit: the training data existed before the training ended. A later commit contradicts if its writer
  put a later time into it too, as in-commit timestamp or as commitInfo.timestamp. The time of the log's file alone
  proves nothing, because copying a table changes it.
- Rows: ModelLedger's own recipes count every row as a training or a test row. Another training may leave rows out.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from core.delta.content_hash import Content
from core.entities import (
    Agreement,
    Commit,
    Comparison,
    DataSource,
    Fact,
    Identity,
    IdentityVerdict,
    ModelVersion,
    PredictionBatch,
    Run,
    Snapshot,
    Table,
)
from core.errors import CoreError, DataUnreadable, EngineFailed, NotFound, VersionNotFound
from core.features.stores import Stores
from core.learning.external_training import is_project
from core.texts import text

# The clocks of a writer and of MLflow's client may differ by this much. A training of ModelLedger pins its data before
# the run starts, so it is compared with the start; any other training may write its data while it runs.
_CLOCK_DIFFERENCE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a training or a scoring recorded about the data version that it used. A missing fact is None.

    *started* is the start of the run, and *latest* the latest time at which the commit of its data can have been
    written. *rows* were used; *counts_every_row* if they are all rows of the data version.
    """

    table_id: str | None = None
    started: datetime | None = None
    latest: datetime | None = None
    rows: int | None = None
    counts_every_row: bool = False
    content_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class LogFacts:
    """What a log says about a version. If the log ends before it, *snapshot* is the newest one there is."""

    snapshot: Snapshot
    commit: Commit | None
    is_missing: bool = False


# Facts by address and version, for callers that compare many models: a log in a store is read once per version.
KnownFacts = dict[tuple[str, int], LogFacts | None]


def identity_of(
    stores: Stores,
    table: Table,
    version: int,
    recorded: Recorded,
    *,
    with_content: bool = False,
    known: KnownFacts | None = None,
) -> Identity | None:
    """Return whether *version* of *table* is the data that *recorded* describes; None if its log says nothing about it.

    Only the log is read, unless *with_content*: then every row is read, if the data has a recorded content SHA-256.
    *known* keeps what was read for the next call.

    Raises:
        StorageUnavailable, EngineUnavailable; with *with_content* DataUnreadable, EngineFailed.
    """
    known = {} if known is None else known
    if (table.uri, version) not in known:
        known[table.uri, version] = _read_log(stores, table, version)
    facts = known[table.uri, version]
    if facts is None:
        return None
    if facts.is_missing:
        # The log may be that of another table, whose id every version shows.
        by_id = _compare_id(recorded, replace(facts.snapshot, version=version))
        if by_id.agreement is not Agreement.CONTRADICTS:
            return None
        return Identity(verdict=IdentityVerdict.ANOTHER_TABLE, comparisons=(by_id,))
    content = None
    if with_content and recorded.content_sha256 is not None:
        content = stores.engine.content(table, version=version)
    return compare_identity(recorded, facts.snapshot, facts.commit, content)


def _read_log(stores: Stores, table: Table, version: int) -> LogFacts | None:
    try:
        try:
            snapshot = stores.engine.snapshot(table, version=version)
        except VersionNotFound:
            return LogFacts(snapshot=stores.engine.snapshot(table), commit=None, is_missing=True)
        return LogFacts(snapshot=snapshot, commit=stores.engine.commit(table, version))
    except (NotFound, DataUnreadable, EngineFailed):
        return None


def recorded_facts(
    run: Run | None, version: ModelVersion | None, source: DataSource, *, is_only_data: bool = True
) -> Recorded:
    """Return what *run* and the tags of *version* recorded about *source*, which they claim.

    *is_only_data* if no other data trained the model, so that the row counts of the run are about this data.
    """
    tags = {**(version.tags if version else {}), **(run.tags if run else {})}
    if not _is_about(tags, source, is_only_data=is_only_data):
        tags = {}
    started = run.started if run else None
    ends = [time for time in (run.ended if run else None, version.created if version else None) if time is not None]
    ended = min(ends, default=None)
    is_own = is_own_training(run)
    latest = started + _CLOCK_DIFFERENCE if is_own and started else ended
    estimator = run.params.get("estimator", "") if run else ""
    return Recorded(
        table_id=source.table_id or tags.get("delta.table_id") or None,
        started=started,
        latest=latest if ended is None or latest is None else min(latest, ended),
        rows=_rows(run) if is_only_data else None,
        counts_every_row=is_own and bool(estimator) and not is_project(estimator),
        content_sha256=tags.get("delta.content_sha256") or None,
    )


def is_own_training(run: Run | None) -> bool:
    """Return whether ModelLedger started *run*, as its tags say."""
    return run is not None and "modelledger.channel" in run.tags


def scored_facts(batch: PredictionBatch) -> Recorded:
    """Return what a scoring recorded about the data version that it scored: it scores every row."""
    return Recorded(
        table_id=batch.source_table_id,
        started=batch.time,
        latest=batch.time + _CLOCK_DIFFERENCE,
        rows=batch.rows,
        counts_every_row=True,
    )


def identity_of_batch(stores: Stores, batch: PredictionBatch, table: Table) -> Identity | None:
    """Return whether *table* still has the data that *batch* scored; None if that cannot be compared now."""
    with suppress(CoreError):  # the lineage of the batch says what is wrong with the table
        return identity_of(stores, table, batch.source.version, scored_facts(batch))
    return None


def compare_identity(
    recorded: Recorded, snapshot: Snapshot, commit: Commit | None, content: Content | None = None
) -> Identity:
    """Return whether *snapshot* is the data that *recorded* describes.

    *commit* is the commit of the same version, None if the log no longer has it. *content* is the content of its rows,
    None if they were not read.
    """
    comparisons = (
        _compare_id(recorded, snapshot),
        _compare_time(recorded, snapshot, commit),
        _compare_rows(recorded, snapshot, content),
        _compare_content(recorded, snapshot, content),
    )
    return Identity(verdict=_verdict(*comparisons), comparisons=comparisons)


def _verdict(table_id: Comparison, time: Comparison, rows: Comparison, content: Comparison) -> IdentityVerdict:
    others = [comparison.agreement for comparison in (table_id, time, rows)]
    if content.agreement is Agreement.AGREES:
        return IdentityVerdict.SAME_ROWS if Agreement.CONTRADICTS in others else IdentityVerdict.TRAINING_DATA
    if table_id.agreement is Agreement.CONTRADICTS:
        return IdentityVerdict.ANOTHER_TABLE
    if Agreement.CONTRADICTS in (*others, content.agreement):
        return IdentityVerdict.OTHER_ROWS
    if time.agreement is Agreement.UNCLEAR:
        return IdentityVerdict.UNCLEAR
    return IdentityVerdict.TRAINING_DATA if table_id.agreement is Agreement.AGREES else IdentityVerdict.UNPROVEN


def _compare_id(recorded: Recorded, snapshot: Snapshot) -> Comparison:
    fact, now = Fact.TABLE_ID, snapshot.table_id or None
    if recorded.table_id is None or now is None or recorded.table_id.lower() == now.lower():
        same = recorded.table_id is not None and now is not None
        agreement = Agreement.AGREES if same else Agreement.UNKNOWN
        return Comparison(fact=fact, recorded=recorded.table_id, now=now, agreement=agreement)
    return Comparison(
        fact=fact,
        recorded=recorded.table_id,
        now=now,
        agreement=Agreement.CONTRADICTS,
        detail=text(
            "{data} is another table now: its table id was {recorded} when it was used, and the table of this name has "
            "the id {now}.",
            data=_name(snapshot),
            recorded=recorded.table_id,
            now=now,
        ),
    )


def _compare_time(recorded: Recorded, snapshot: Snapshot, commit: Commit | None) -> Comparison:
    fact = Fact.COMMIT_TIME
    written = commit.written_at if commit else None
    # Copying a table makes the time of its files later, never the time inside them.
    now, limit = min(written or snapshot.timestamp, snapshot.timestamp), recorded.latest
    if limit is None:
        return Comparison(fact=fact, recorded=None, now=_time(now), agreement=Agreement.UNKNOWN)
    before = text("before {time}", time=_time(limit))
    values = {"data": _name(snapshot), "written": _time(now), "started": _time(recorded.started or limit)}
    if now > limit:
        if written is not None:
            agreement = Agreement.CONTRADICTS
            detail = text(
                "{data} was written at {written}, after the use of its rows, which began at {started}: the rows came "
                "from another commit.",
                **values,
            )
        else:
            agreement = Agreement.UNCLEAR
            detail = text(
                "The log file of {data} is from {written}, after the use of its rows, which began at {started}. The "
                "table may be a copy: compare the content.",
                **values,
            )
        return Comparison(fact=fact, recorded=before, now=_time(now), agreement=agreement, detail=detail)
    if recorded.started is not None and now > recorded.started + _CLOCK_DIFFERENCE:
        detail = text(
            "{data} was written at {written}, while the run that used it was active (since {started}).", **values
        )
        return Comparison(fact=fact, recorded=before, now=_time(now), agreement=Agreement.UNCLEAR, detail=detail)
    return Comparison(fact=fact, recorded=before, now=_time(now), agreement=Agreement.AGREES)


def _compare_rows(recorded: Recorded, snapshot: Snapshot, content: Content | None) -> Comparison:
    fact, now = Fact.ROWS, content.rows if content else snapshot.rows
    if recorded.rows is None or now is None or recorded.rows == now:
        same = recorded.rows is not None and now is not None
        agreement = Agreement.AGREES if same else Agreement.UNKNOWN
        return Comparison(fact=fact, recorded=_count(recorded.rows), now=_count(now), agreement=agreement)
    values = {"data": _name(snapshot), "recorded": recorded.rows, "now": now}
    if recorded.rows > now or recorded.counts_every_row:
        agreement = Agreement.CONTRADICTS
        detail = text("{data} has {now} rows, and {recorded} rows were counted when it was used.", **values)
    else:
        agreement = Agreement.UNCLEAR
        detail = text("{recorded} of the {now} rows of {data} were used.", **values)
    return Comparison(fact=fact, recorded=_count(recorded.rows), now=_count(now), agreement=agreement, detail=detail)


def _compare_content(recorded: Recorded, snapshot: Snapshot, content: Content | None) -> Comparison:
    fact, logged, now = Fact.CONTENT, recorded.content_sha256, content.sha256 if content else None
    if logged is None or now is None or logged == now:
        agreement = Agreement.AGREES if logged is not None and now is not None else Agreement.UNKNOWN
        return Comparison(fact=fact, recorded=logged, now=now, agreement=agreement)
    return Comparison(
        fact=fact,
        recorded=logged,
        now=now,
        agreement=Agreement.CONTRADICTS,
        detail=text(
            "{data} no longer holds the training rows: their content SHA-256 was {logged}, and now it is {digest}.",
            data=_name(snapshot),
            logged=logged,
            digest=now,
        ),
    )


def _is_about(tags: Mapping[str, str], source: DataSource, *, is_only_data: bool) -> bool:
    """Whether delta.table_id and delta.content_sha256 are about *source*: the tags beside them name the data."""
    table, version = tags.get("delta.table"), tags.get("delta.version")
    if table is None and version is None:
        return is_only_data
    return table in (None, source.claimed) and version in (None, str(source.version))


def _rows(run: Run | None) -> int | None:
    """Return the training and test rows together; None unless both were logged as whole numbers."""
    counts = [run.metrics.get(name) for name in ("TrainRows", "TestRows")] if run else []
    whole = [int(count) for count in counts if count is not None and 0 <= count < 1e15 and count == int(count)]
    return sum(whole) if len(whole) == 2 else None


def _name(snapshot: Snapshot) -> str:
    return f"{snapshot.table}@{snapshot.version}"


def _count(rows: int | None) -> str | None:
    return None if rows is None else str(rows)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
