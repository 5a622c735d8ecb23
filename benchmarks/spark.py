"""Both engines on this machine: opening a history, and scoring 1 and 10 million rows."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from benchmarks.delta_history import build
from benchmarks.measure import Measurement, fastest_s
from benchmarks.scoring_process import SCIENTIST
from core.bootstrap import open_stores
from core.delta.delta_rs.engine import DeltaRsEngine
from core.delta.spark import java
from core.entities import Table
from core.errors import EngineUnavailable
from core.features.admin.sample import iris_data
from core.features.stores import Stores
from core.features.training.train import train
from core.settings import load_settings

COMMITS = 1_000
MILLIONS = (1, 10)
_BATCH = 250_000
_ROOT = Path(__file__).resolve().parent.parent


def run() -> list[Measurement]:
    """Run all measurements. Without Java, report that nothing was measured."""
    try:
        java.require_java()
    except EngineUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return []
    with tempfile.TemporaryDirectory() as folder:
        return [_history(Path(folder)), *_scoring(Path(folder, "home"))]


def _history(folder: Path) -> Measurement:
    """Measure both engines cold. Spark's session is already open."""
    from core.delta.spark import session as spark_session
    from core.delta.spark.engine import SparkEngine

    table = build(folder / "old", COMMITS)
    embedded_s = fastest_s(lambda: DeltaRsEngine().history(table))
    engine = SparkEngine("local[*]")
    try:
        started = time.perf_counter()
        session = engine.session
        session_s = time.perf_counter() - started

        def asked() -> None:
            assert len(session.sql(f"DESCRIBE HISTORY delta.`{table.uri}`").collect()) == COMMITS

        first_s, asked_s = fastest_s(asked, times=1), fastest_s(asked, times=3)
        spark_s = fastest_s(lambda: SparkEngine("local[*]").history(table))
        assert SparkEngine("local[*]").history(table) == DeltaRsEngine().history(table)
    finally:
        spark_session.close()
    return Measurement(
        name=f"history of {COMMITS:,} commits on the Spark engine",
        ratio=spark_s / embedded_s,
        goal=1.5,
        ours_s=spark_s,
        baseline_s=embedded_s,
        note=f"cold, against the embedded engine; DESCRIBE HISTORY in Spark, as over Connect: first {first_s:.1f} s, "
        f"then {asked_s:.2f} s; start of the session {session_s:.0f} s",
    )


def _scoring(home: Path) -> list[Measurement]:
    stores = open_stores(load_settings(home=home))
    stores.engine.write(stores.catalog.place("iris_training_data"), iris_data(), mode="append")
    train(stores, SCIENTIST, recipe="iris_classifier")
    measured = []
    for millions in MILLIONS:
        table = _flowers(stores, millions)
        embedded, spark = (_scored(home, engine, table.name) for engine in ("delta-rs", "spark"))
        assert embedded.rows == spark.rows == millions * 1_000_000
        measured.append(
            Measurement(
                name=f"scoring {millions} million rows on Spark local[*]",
                ratio=spark.score_s / embedded.score_s,
                goal=1.0,
                ours_s=spark.score_s,
                baseline_s=embedded.score_s,
                note=f"against the embedded engine (below 1, Spark is faster here). Spark {spark}, session start "
                f"{spark.start_s:.0f} s before that; embedded {embedded}",
            )
        )
    return measured


@dataclass(frozen=True, kw_only=True)
class _Scored:
    """*peak_bytes* is the resident memory of the process and its descendants (the model's process, Java)."""

    rows: int
    start_s: float
    score_s: float
    peak_bytes: int

    def __str__(self) -> str:
        return f"{self.rows / self.score_s:,.0f} rows/s, peak {self.peak_bytes / 2**20:,.0f} MiB"


def _scored(home: Path, engine: str, table: str) -> _Scored:
    into = f"{table}_{engine.replace('-', '_')}"
    command = [sys.executable, "-m", "benchmarks.scoring_process", str(home), engine, table, into]
    process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
    peak, over = [0], threading.Event()

    def sample() -> None:
        while not over.wait(0.1):
            peak[0] = max(peak[0], _resident_bytes(process.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        answer, _ = process.communicate()
    finally:
        over.set()
        sampler.join()
    if process.returncode:
        raise RuntimeError(f"scoring {table} on {engine} ended with {process.returncode}")
    return _Scored(**json.loads(answer.splitlines()[-1]), peak_bytes=peak[0])


def _resident_bytes(pid: int) -> int:
    """Return the resident bytes of the process and its descendants; shared pages count for each process."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for one in family:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # ended since it was listed
    return total


def _flowers(stores: Stores, millions: int) -> Table:
    """Write irises with noise, one file per million rows, so that Spark has tasks for every core."""
    table = stores.catalog.place(f"flowers_{millions}m")
    for number in range(millions):
        batches = _noisy(iris_data(), seed=number)
        first = next(batches)
        rows = pa.RecordBatchReader.from_batches(first.schema, [first, *batches])
        stores.engine.write(table, rows, mode="append")
    return table


def _noisy(iris: pa.Table, *, seed: int) -> Iterator[pa.RecordBatch]:
    random = np.random.default_rng(seed)
    for _ in range(1_000_000 // _BATCH):
        rows = iris.take(pa.array(random.integers(0, iris.num_rows, _BATCH)))
        columns = [
            pa.array(np.round(column.to_numpy() + random.normal(0, 0.1, _BATCH), 2))
            if pa.types.is_floating(column.type)
            else column.combine_chunks()
            for column in rows.columns
        ]
        yield pa.record_batch(columns, names=rows.column_names)
