"""The audit log at a million events: append, verify and prove, against raw SQLite and raw SHA-256."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.measure import Measurement
from core.audit.canonical_json import canonical
from core.audit.hash_chain import GENESIS, event_hash
from core.audit.log import AuditLog
from core.audit.proofs.signed_heads import Heads
from core.audit.proofs.verification import verify_log
from core.database.engine import Database
from core.database.tables import events
from core.entities import Actor, Outcome, Role

# A million takes some minutes; make bench MODELLEDGER_BENCH_EVENTS=100000 is quicker and gives the same ratios.
EVENTS = int(os.environ.get("MODELLEDGER_BENCH_EVENTS", "1000000"))
APPENDED = 2_000
_CHUNK = 20_000
_ACTOR = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="bench")


def run() -> list[Measurement]:
    """Run all measurements on one file system."""
    with tempfile.TemporaryDirectory(prefix="modelledger-bench-") as name:
        folder = Path(name)
        database = Database(f"sqlite:///{folder / 'log.db'}")
        log = AuditLog(database)
        heads = Heads(database, log, key_file=folder / "key.pem", name="bench.example/log")
        _fill(database)
        found = [_append(log, folder), *_verify(log, heads, folder), *_prove(log, heads)]
        database.close()
    return found


def _append(log: AuditLog, folder: Path) -> Measurement:
    """Measure durable appends, one transaction each, against the same rows inserted durably with sqlite3."""
    ours = _seconds(
        lambda: [
            log.append(_ACTOR, "data.ingest", "table@1", Outcome.SUCCESS, after={"rows": n}) for n in range(APPENDED)
        ]
    )
    rows = _raw_rows(folder, limit=APPENDED)
    raw = _raw_database(folder / "raw.db")

    def insert() -> None:
        marks = ",".join("?" * len(rows[0]))
        for row in rows:
            raw.execute("BEGIN IMMEDIATE")
            raw.execute(f"INSERT INTO events VALUES ({marks})", row)
            raw.execute("COMMIT")

    baseline = _seconds(insert)
    raw.close()
    return Measurement(
        name=f"append {APPENDED:,} events durably to a log of {EVENTS:,}",
        ratio=ours / baseline,
        goal=5,
        ours_s=ours,
        baseline_s=baseline,
        note=f"{APPENDED / ours:,.0f} events/s; baseline: the same rows by sqlite3, one durable transaction each",
    )


def _verify(log: AuditLog, heads: Heads, folder: Path) -> list[Measurement]:
    """Measure a full verification against reading the same rows and SHA-256 over the same bytes."""
    told: list[int] = []
    ours = _seconds(lambda: _hold(verify_log(log, heads, on_progress=lambda seen, total: told.append(seen)).ok))
    assert told[-1] == EVENTS + APPENDED

    def raw() -> None:
        connection = sqlite3.connect(folder / "log.db")
        for row in connection.execute("SELECT * FROM events ORDER BY sequence"):
            hashlib.sha256("".join(map(str, row)).encode()).hexdigest()
        connection.close()

    baseline = _seconds(raw)
    for number in range(100):
        log.append(_ACTOR, "data.ingest", "table@1", Outcome.SUCCESS, after={"rows": number})
    again = _seconds(lambda: _hold(verify_log(log, heads, incremental=True).ok))
    count = EVENTS + APPENDED
    return [
        Measurement(
            name=f"verify {count:,} events: chain, Merkle tree and signed heads",
            ratio=ours / baseline,
            goal=10,
            ours_s=ours,
            baseline_s=baseline,
            note=f"{count / ours:,.0f} events/s; baseline: sqlite3 reads the same rows, SHA-256 over their text",
        ),
        Measurement(
            name=f"verify 100 new events after {count:,} verified ones",
            ratio=again / ours,
            goal=0.01,
            ours_s=again,
            baseline_s=ours,
            note="baseline: a full verification",
        ),
    ]


def _prove(log: AuditLog, heads: Heads) -> list[Measurement]:
    """Measure inclusion proofs of a hundred events against hashing the leaves once."""
    head = heads.make("bench")
    size = head.size

    def prove() -> None:
        tree = heads.tree(size)
        for number in range(0, size, max(size // 100, 1)):
            tree.inclusion(number)

    ours = _seconds(prove)
    hashes = [bytes.fromhex(text) for text in log.hashes(after_sequence=0, until_sequence=size)]

    def raw() -> None:
        level = [hashlib.sha256(b"\x00" + one).digest() for one in hashes]
        while len(level) > 1:
            pairs = [hashlib.sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
            level = pairs + level[len(pairs) * 2 :]

    baseline = _seconds(raw)
    return [
        Measurement(
            name=f"prove 100 of {size:,} events",
            ratio=ours / baseline,
            goal=5,
            ours_s=ours,
            baseline_s=baseline,
            note="reads the hashes from the database; baseline: SHA-256 over all nodes of the tree, in memory",
        )
    ]


def _fill(database: Database) -> None:
    """Build a log of EVENTS events in large transactions, chained as AuditLog chains them."""
    previous, start = GENESIS, datetime(2026, 1, 1, tzinfo=UTC)
    after = canonical({"rows": 150, "mode": "append", "file": "iris.csv"})
    for first in range(1, EVENTS + 1, _CHUNK):
        rows = []
        for number in range(first, min(first + _CHUNK, EVENTS + 1)):
            row: dict[str, Any] = {
                "sequence": number,
                "time": start + timedelta(seconds=number),
                "actor": "scientist",
                "role": "scientist",
                "channel": "bench",
                "action": "data.ingest",
                "subject": f"table_{number % 100}@{number}",
                "outcome": "success",
                "reason": "nightly load of the day's cases",
                "operation": f"{number:032x}",
                "before": "{}",
                "after": after,
                "previous": previous,
            }
            row["hash"] = previous = event_hash(row)
            rows.append(row)
        with database.write() as connection:
            connection.execute(sa.insert(events), rows)


def _raw_rows(folder: Path, *, limit: int) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(folder / "log.db")
    rows = list(connection.execute("SELECT * FROM events ORDER BY sequence DESC LIMIT ?", (limit,)))
    connection.close()
    return rows


def _raw_database(file: Path) -> sqlite3.Connection:
    """Create the same table with the same indexes and the same durability."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    names = ", ".join(f'"{column.name}" TEXT' for column in events.c if column.name != "sequence")
    connection.execute(f"CREATE TABLE events (sequence INTEGER PRIMARY KEY, {names})")
    for columns in ("subject, sequence", "operation", "actor, sequence"):
        connection.execute(f"CREATE INDEX {columns.split(',')[0]}_index ON events ({columns})")
    return connection


def _hold(ok: bool) -> None:
    if not ok:
        raise AssertionError("the verification of the benchmark's log failed")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
