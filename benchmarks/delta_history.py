"""History and snapshots of a table with 10,000 commits, against a loop over the same files and one open per version."""

from __future__ import annotations

import copy
import tempfile
import time
from pathlib import Path

import deltalake
import orjson
import pyarrow as pa

from benchmarks.measure import Measurement, fastest_s
from core.delta.delta_rs.engine import DeltaRsEngine
from core.entities import Table

COMMITS = 10_000
NEWEST = 50
MORE = 10
_YOUNG = 100
_ROUNDS = 7


def run() -> list[Measurement]:
    """Run all measurements. A cold engine has read nothing yet; the system's file cache is warm for both sides."""
    with tempfile.TemporaryDirectory() as folder:
        table = build(Path(folder, "old"), COMMITS)
        young = build(Path(folder, "young"), _YOUNG)
        return [_history(table, None, 1.5), _history(table, NEWEST, 3.0), _refresh(table, young), *_snapshots(table)]


def _history(table: Table, newest: int | None, goal: float) -> Measurement:
    paths = _paths(table, COMMITS)[-(newest or COMMITS) :]
    baseline_s = fastest_s(lambda: _loop(paths))
    ours_s = fastest_s(lambda: DeltaRsEngine().history(table, limit=newest))
    assert len(DeltaRsEngine().history(table, limit=newest)) == len(paths)
    warm = DeltaRsEngine()
    warm.history(table, limit=newest)
    warm_s = fastest_s(lambda: warm.history(table, limit=newest))
    what = f"the newest {newest}" if newest else "all"
    return Measurement(
        name=f"history of {COMMITS:,} commits, {what}",
        ratio=ours_s / baseline_s,
        goal=goal,
        ours_s=ours_s,
        baseline_s=baseline_s,
        note=f"cold, against a loop that reads and parses the same files; warm {warm_s * 1000:.2f} ms",
    )


def _refresh(table: Table, young: Table) -> Measurement:
    def seconds(of: Table) -> float:
        engine = DeltaRsEngine()
        engine.history(of)
        engine.snapshot(of)
        best = float("inf")
        for _ in range(_ROUNDS):
            latest = engine.latest_version(of)
            _append(Path(of.uri), latest + 1, MORE)
            started = time.perf_counter()
            newest = engine.history(of, limit=MORE)
            snapshot = engine.snapshot(of)
            best = min(best, time.perf_counter() - started)
            assert newest[0].version == snapshot.version == latest + MORE
        return best

    ours_s, baseline_s = seconds(table), seconds(young)
    return Measurement(
        name=f"refresh after {MORE} more commits, history and snapshot",
        ratio=ours_s / baseline_s,
        goal=1.5,
        ours_s=ours_s,
        baseline_s=baseline_s,
        note=f"on {COMMITS:,} commits, against the same on {_YOUNG}: the new commits cost, not the table's age",
    )


def _snapshots(table: Table) -> list[Measurement]:
    latest = DeltaRsEngine().latest_version(table)
    versions = range(latest - NEWEST + 1, latest + 1)

    def one_open_each() -> None:
        for version in versions:
            opened = deltalake.DeltaTable(table.uri, version=version)
            opened.schema()
            opened.count()

    def one_walk() -> None:
        assert len(DeltaRsEngine().snapshots(table, newest=NEWEST)) == NEWEST

    ours_s, opens_s = fastest_s(one_walk), fastest_s(one_open_each, times=1)
    every_s = fastest_s(lambda: DeltaRsEngine().snapshots(table), times=3)
    loop_s = fastest_s(lambda: _loop(_paths(table, latest + 1)), times=3)
    return [
        Measurement(
            name=f"rows and schema at the newest {NEWEST} versions",
            ratio=ours_s / opens_s,
            goal=0.2,
            ours_s=ours_s,
            baseline_s=opens_s,
            note="cold, one pass over the log, against one open by deltalake per version",
        ),
        Measurement(
            name=f"rows and schema at each of {latest + 1:,} versions",
            ratio=every_s / loop_s,
            goal=2.0,
            ours_s=every_s,
            baseline_s=loop_s,
            note="cold, one pass over the log, against a loop that reads and parses the same files",
        ),
    ]


def _loop(paths: list[str]) -> None:
    for path in paths:
        with open(path, "rb") as file:
            for line in file.read().splitlines():
                orjson.loads(line)


def _paths(table: Table, commits: int) -> list[str]:
    return [f"{table.uri}/_delta_log/{version:020d}.json" for version in range(commits)]


def build(place: Path, commits: int) -> Table:
    """Build a table as delta-rs writes it: one file with statistics per commit, and the newest checkpoint."""
    deltalake.write_deltalake(
        str(place),
        pa.table({"id": [1, 2], "amount": [1.5, 2.5], "risk": ["low", "high"]}),
        commit_properties=deltalake.CommitProperties(custom_metadata={"modelledger.actor": "scientist"}),
    )
    newest_checkpoint = (commits - 1) // 100 * 100
    _append(place, 1, newest_checkpoint)
    if newest_checkpoint:
        deltalake.DeltaTable(str(place)).create_checkpoint()
    _append(place, newest_checkpoint + 1, commits - 1 - newest_checkpoint)
    return Table(name=place.name, uri=str(place))


def _append(place: Path, first: int, count: int) -> None:
    """Add commits like the first one, each with its own file name. The data files are never read."""
    log = place / "_delta_log"
    actions = [orjson.loads(line) for line in (log / f"{0:020d}.json").read_bytes().splitlines()]
    info = next(action for action in actions if "commitInfo" in action)
    add = copy.deepcopy(next(action for action in actions if "add" in action))
    info["commitInfo"]["operationParameters"] = {"mode": "Append"}
    for version in range(first, first + count):
        add["add"]["path"] = f"part-{version:05d}-4ce0e057-8881-433e-b0d1-9728b9f5b517-c000.snappy.parquet"
        (log / f"{version:020d}.json").write_bytes(orjson.dumps(info) + b"\n" + orjson.dumps(add))
