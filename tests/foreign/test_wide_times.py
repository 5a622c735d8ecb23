"""Times that Python cannot hold, and microseconds, on the command line, on pages and in exports."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from core.delta.wide_times import with_text_for_wide_times
from core.entities import Actor
from core.features.data import browse, export_rows
from core.features.stores import Stores
from tests.cli.conftest import Command, command  # noqa: F401 - a fixture
from tests.foreign.handmade import HandmadeTable, column, microseconds
from tests.pages.conftest import Opened, opened, said  # noqa: F401 - a fixture

DAY = 86_400_000_000
YEAR_10000 = 2_932_897 * DAY
HALF_PAST_FIVE = YEAR_10000 + 5 * 3_600_000_000 + 30 * 60_000_000
EXACT = 1_764_378_123_456_789  # 2025-11-29T01:02:03.456789Z
WIDE_FIELDS = [
    column("id", "long"),
    column("until", "timestamp"),
    column("exact", "timestamp"),
    column("day", "date"),
    column("nested", {"type": "array", "elementType": "timestamp", "containsNull": True}),
    column("inner", {"type": "struct", "fields": [column("d", "date"), column("n", "long")]}),
]


def wide_rows() -> pa.Table:
    days = pa.array([2_932_897, -719_163, None], pa.int32()).cast(pa.date32())
    moments = microseconds([HALF_PAST_FIVE, EXACT, None])
    nested = pa.ListArray.from_arrays(pa.array([0, 2, 3, 3]), moments, mask=pa.array([False, False, True]))
    inner = pa.StructArray.from_arrays([days, pa.array([1, 2, 3])], names=["d", "n"])
    exact = microseconds([EXACT, EXACT - 789, None])
    columns = {"until": moments, "exact": exact, "day": days, "nested": nested, "inner": inner}
    return pa.table({"id": pa.array([1, 2, 3], pa.int64()), **columns})


WIDE: list[dict[str, Any]] = [
    {
        "id": 1,
        "until": "10000-01-01T05:30:00.000Z",
        "exact": "2025-11-29T01:02:03.456789Z",
        "day": "10000-01-01",
        "nested": ["10000-01-01T05:30:00.000Z", "2025-11-29T01:02:03.456789Z"],
        "inner": {"d": "10000-01-01", "n": 1},
    },
    {
        "id": 2,
        "until": "2025-11-29T01:02:03.456789Z",
        "exact": "2025-11-29T01:02:03.456Z",
        "day": "0000-12-31",
        "nested": [None],
        "inner": {"d": "0000-12-31", "n": 2},
    },
    {"id": 3, "until": None, "exact": None, "day": None, "nested": None, "inner": {"d": None, "n": 3}},
]


@pytest.fixture
def wide(stores: Stores) -> Stores:
    """A table with times outside of the years 1 to 9999 and with microseconds, without statistics."""
    table = HandmadeTable(stores.settings.home / "tables" / "wide")
    table.create(WIDE_FIELDS, table.add(wide_rows()))
    return stores


def test_rows_on_the_command_line_have_any_year_and_microseconds(
    wide: Stores,
    command: Command,  # noqa: F811
) -> None:
    shown = command("show", "wide", "--json").json
    assert shown["sample"] == WIDE
    assert len(shown["timestamp"].partition(".")[2]) == len("123Z")
    result = command("sql", "SELECT * FROM wide ORDER BY id", "--json").json
    assert result["rows"] == [list(row.values()) for row in WIDE]
    for arguments in (("show", "wide"), ("sql", "SELECT * FROM wide")):
        answer = command(*arguments)
        assert (answer.code, "10000-01-01T05:30:00.000Z" in answer.out.replace("\n", "")) == (0, True), answer


def test_show_counts_rows_that_the_log_does_not_record(
    wide: Stores,
    command: Command,  # noqa: F811
) -> None:
    assert wide.engine.snapshot(wide.catalog.resolve("wide")).rows is None
    assert command("show", "wide", "--json").json["rows"] == 3


def test_export_has_any_year(wide: Stores, scientist: Actor) -> None:
    lines = export_rows.version_csv(wide, scientist, "wide", 0).decode().splitlines()
    assert lines[1].startswith('1,10000-01-01 05:30:00.000000Z,2025-11-29 01:02:03.456789Z,10000-01-01,"[')
    assert "10000-01-01T05:30:00.000Z" in lines[1]
    assert lines[2].startswith("2,2025-11-29 01:02:03.456789Z,2025-11-29 01:02:03.456000Z,0000-12-31,")


def test_pages_show_any_year_and_the_counted_rows(
    wide: Stores,
    opened: Opened,  # noqa: F811
) -> None:
    page = opened("tables", tables_table="wide", tables_version="0")
    assert not page.exception
    assert "version **0** · 3 rows" in said(page)
    frame = next(table.value for table in page.dataframe if "until" in table.value.columns)
    assert list(frame["until"])[:2] == ["10000-01-01T05:30:00.000Z", "2025-11-29T01:02:03.456789Z"]
    assert list(frame["day"])[:2] == ["10000-01-01", "0000-12-31"]
    page = opened("sql", sql_query="SELECT until, day, nested FROM wide ORDER BY id")
    assert not page.exception
    frame = next(table.value for table in page.dataframe if "until" in table.value.columns)
    assert list(frame["until"])[:2] == ["10000-01-01T05:30:00.000Z", "2025-11-29T01:02:03.456789Z"]


def test_service_leaves_columns_as_they_are_that_python_can_hold(wide: Stores, scientist: Actor) -> None:
    sample = browse.show_version(wide, scientist, "wide").sample
    assert sample is not None
    assert sample.schema.field("exact").type == pa.timestamp("us", "UTC")
    assert sample.schema.field("until").type == pa.string()


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.timestamp("us"), [YEAR_10000, None], ["10000-01-01T00:00:00.000", None]),
        (pa.timestamp("ms"), [YEAR_10000 // 1000 - 1], [dt.datetime(9999, 12, 31, 23, 59, 59, 999_000)]),
        (pa.timestamp("s"), [-719_162 * 86_400 - 1, 0], ["0000-12-31T23:59:59", "1970-01-01T00:00:00"]),
        (pa.timestamp("s"), [-719_162 * 86_400], [dt.datetime(1, 1, 1)]),
        (pa.date32(), [2_932_896, -719_162], [dt.date(9999, 12, 31), dt.date(1, 1, 1)]),
    ],
)
def test_ends_of_what_python_can_hold(kind: pa.DataType, values: list[int], expected: list[Any]) -> None:
    array = pa.array(values, pa.int32() if pa.types.is_date(kind) else pa.int64()).cast(kind)
    assert with_text_for_wide_times(pa.table({"t": array})).column("t").to_pylist() == expected


def test_maps_and_slices_keep_their_nulls() -> None:
    times = pa.map_(pa.string(), pa.timestamp("us"))
    array = pa.array([[("a", 0)], None, [("b", YEAR_10000), ("c", None)], []], pa.map_(pa.string(), pa.int64()))
    keys = array.keys
    items = array.items.cast(pa.timestamp("us"))
    rows = pa.table({"m": pa.MapArray.from_arrays(array.offsets, keys, items, mask=array.is_null())})
    assert rows.schema.field("m").type == times
    replaced = with_text_for_wide_times(rows.slice(1)).column("m").to_pylist()
    assert replaced == [None, [("b", "10000-01-01T00:00:00.000"), ("c", None)], []]
