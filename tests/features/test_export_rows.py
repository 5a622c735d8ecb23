"""Export rows and read them by the page: contents of the file, permissions, and no formulas."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from core.bootstrap import open_stores
from core.entities import Actor, PredictionBatch, Role, Stage
from core.features.data.export_rows import batch_csv, version_csv
from core.features.scoring.batch_rows import batch_page, batch_sample
from core.features.scoring.batches import list_batches
from core.features.scoring.score import score
from core.features.stores import Stores
from core.settings import load_settings
from tests.batches import rows_of_batch
from tests.conftest import copy_sample

ODD = pa.table(
    {
        "=1+1": ["=cmd()", "a\u202eb", 'c,"d"\n', None],
        "n": pa.array([-1, 2, None, 4], pa.int64()),
        "x": pa.array([0.1, float("nan"), None, -2.5]),
        "when": pa.array([datetime(2026, 1, 1, 2, 30, tzinfo=UTC)] * 4, pa.timestamp("us", "UTC")),
        "many": pa.array([["@sum", "b"], [], None, ["ü"]], pa.list_(pa.string())),
        "raw": pa.array([b"\x00\xff", b"", None, b"a"], pa.binary()),
    }
)


def rows_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))


def test_an_exported_version_has_no_formula_and_no_invisible_text(stores: Stores, auditor: Actor) -> None:
    stores.engine.write(stores.catalog.place("odd"), ODD, mode="append")
    header, *rows = rows_of(version_csv(stores, auditor, "odd", 0))
    assert header == ["'=1+1", "n", "x", "when", "many", "raw"]
    assert rows[0] == ["'=cmd()", "-1", "0.1", "2026-01-01 02:30:00.000000Z", '["\'@sum", "b"]', "00ff"]
    assert rows[1][0] == "a‹U+202E›b"
    assert rows[2][0] == 'c,"d"\n'
    assert rows[3] == ["", "4", "-2.5", "2026-01-01 02:30:00.000000Z", '["ü"]', "61"]


def test_an_older_version_is_exported_unchanged_up_to_the_requested_rows(sample_stores: Stores, auditor: Actor) -> None:
    assert len(rows_of(version_csv(sample_stores, auditor, "iris_training_data", 0))) == 1 + 50
    assert len(rows_of(version_csv(sample_stores, auditor, "iris_training_data", 2, most=120))) == 1 + 120


@pytest.fixture(scope="module")
def sample_home(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample workspace with two batches in one table, of 50 rows and of 150."""
    home = tmp_path_factory.mktemp("scored") / "home"
    copy_sample(sample_home, home)
    stores = open_stores(load_settings(home=home, database_url=None))
    scientist = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")
    stores.models.set_stages("iris_classifier", {1: Stage.PRODUCTION})
    for version in (0, 2):
        score(stores, scientist, model="iris_classifier", table="iris_training_data", version=version, into="p")
    return home


@pytest.fixture
def batch(sample_stores: Stores, auditor: Actor) -> PredictionBatch:
    """The batch of 150 rows, in a table that holds 50 rows of another batch as well."""
    newest, other = list_batches(sample_stores, auditor, into="p")
    assert (newest.rows, other.rows) == (150, 50)
    return newest


def test_the_pages_of_a_batch_are_its_rows_each_once(
    sample_stores: Stores, auditor: Actor, batch: PredictionBatch
) -> None:
    whole = rows_of_batch(sample_stores, batch)
    pages = [batch_page(sample_stores, auditor, batch, offset=at, limit=70) for at in (0, 70, 140, 210)]
    assert [page.num_rows for page in pages] == [70, 70, 10, 0]
    assert pa.concat_tables(pages).to_pylist() == whole.to_pylist()
    taken = rows_of(batch_csv(sample_stores, auditor, batch))
    assert len(taken) == 1 + 150
    assert {row[taken[0].index("batch_id")] for row in taken[1:]} == {batch.batch_id}


@pytest.mark.parametrize(("most", "rows"), [(1000, 150), (150, 150), (149, 75), (50, 50), (7, 7), (1, 1)])
def test_a_sample_is_even_and_never_larger_than_requested(
    sample_stores: Stores, auditor: Actor, batch: PredictionBatch, most: int, rows: int
) -> None:
    whole = rows_of_batch(sample_stores, batch)
    found = batch_sample(sample_stores, auditor, batch, columns=("prediction", "no such"), most=most)
    assert found.column_names == ["prediction"]
    assert found.num_rows == rows
    assert found.column(0).to_pylist() == whole.column("prediction").to_pylist()[:: -(-150 // most)]
