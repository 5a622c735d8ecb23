"""The Delta tables of the test workspace: each as some writer of the protocol leaves it, with what it holds."""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa

from tests.foreign.handmade import HandmadeTable, column, microseconds

FIRST = datetime(2026, 9, 1, 6, tzinfo=UTC)
ID = [column("id", "long")]
_EPOCH = datetime(1970, 1, 1)
HOSTILE_TABLE = "![x](javascript:alert(1)) <b>"
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_B85 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"

Expected = dict[str, Any]


def build_tables(folder: Path) -> Expected:
    """Writes the tables below *folder*/lake and *folder*/warehouse. Returns what they hold, by how they were written.

    `tables`: by name {version, rows, verdict, words}; `words` are in the reason of the verdict or in the problem.
    `queries`: [sql, rows]. `diffs`: {table, a, b, …}. `commits`: {table, version, …}. `settings`: of the environment.
    """
    lake = folder / "lake"
    tables: dict[str, Expected] = {}
    facts: Expected = {"tables": tables, "queries": [], "diffs": [], "commits": []}
    for build in (
        *(_fraud, _customers, _stale, _churn, _valid_until, _calendar, _nested, _broken_statistics, _uncounted),
        *(_deleted_rows, _clone, _live, _checkpointed, _gap, _bad_time, _clock, _renamed, _merged, _rewritten, _signs),
        *(_cut, _vacuumed, _variant, _per_cent, _hostile, _empty),
    ):
        build(lake, facts)
    (lake / "notes").mkdir()
    (lake / "notes" / "readme.txt").write_text("not a table", encoding="utf-8")
    (lake / "never_committed" / "_delta_log").mkdir(parents=True)
    # Registered nowhere: nothing may open this table because MLflow names it.
    _written(folder / "elsewhere" / "secret", [_sales(0, 5)])
    facts["settings"] = {"MODELLEDGER_TABLES": f"{lake},churn={folder / 'warehouse' / 'customer churn'}"}
    return facts


def at(days: float, minutes: float = 0) -> datetime:
    """A moment of the workspace's history: *days* and *minutes* after its first commit."""
    return FIRST + timedelta(days=days, minutes=minutes)


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


# ------------------------------------------------------------------------------------------- written by deltalake


def _sales(first: int, last: int) -> pa.Table:
    ids = list(range(first, last))
    amounts = [(number * 37 % 101) + 0.5 for number in ids]
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "amount": pa.array(amounts, pa.float64()),
            "country": pa.array([("ES", "PT", "NA")[number % 3] for number in ids]),
            "label": pa.array([int(amount > 50) for amount in amounts], pa.int64()),
        }
    )


def _fraud(lake: Path, facts: Expected) -> None:
    """One commit each week: 100 rows, 50 more, 50 more, 20 deleted. Most models claim this table."""
    place = lake / "fraud"
    _written(place, [_sales(0, 100), _sales(100, 150), _sales(150, 200)])
    deltalake.DeltaTable(str(place)).delete("id < 20")
    _set_times(place, [at(7 * week) for week in range(4)])
    _add(facts, "fraud", version=3, rows=180)
    table_id = str(deltalake.DeltaTable(str(place)).metadata().id)
    facts["tables"]["fraud"] |= {"table_id": table_id, "rows_of": {"0": 100, "1": 150, "2": 200, "3": 180}}
    facts["queries"] += [
        ["SELECT sum(id) AS n FROM fraud VERSION AS OF 0", [[4950]]],
        ["WITH fraud AS (SELECT * FROM fraud VERSION AS OF 0) SELECT count(*) AS n FROM fraud", [[100]]],
        [f"SELECT count(*) AS n FROM fraud TIMESTAMP AS OF '{at(8).isoformat()}'", [[150]]],
    ]
    facts["diffs"].append({"table": "fraud", "a": 0, "b": 1, "added": 50, "removed": 0})
    facts["diffs"].append({"table": "fraud", "a": 2, "b": 3, "added": 0, "removed": 20})
    facts["commits"] += [
        {"table": "fraud", "version": 3, "operation": "DELETE", "rows_removed": 20, "said": ["id < 20"]},
        {"table": "fraud", "version": 1, "operation": "WRITE", "rows_added": 50},
    ]


def _customers(lake: Path, facts: Expected) -> None:
    """A table that a model was trained on, deleted and written anew with other rows: the same name and versions."""
    place = lake / "customers"
    _written(place, [_sales(0, 40), _sales(40, 80)])
    old = str(deltalake.DeltaTable(str(place)).metadata().id)
    shutil.rmtree(place)
    _written(place, [_sales(500, 540), _sales(540, 580)])
    _set_times(place, [at(30, 48), at(30, 49)])
    _add(facts, "customers", version=1, rows=80)
    facts["tables"]["customers"] |= {"former_table_id": old}


def _stale(lake: Path, facts: Expected) -> None:
    """Version 1 was committed after the runs that name it."""
    place = lake / "stale"
    _written(place, [_sales(0, 10), _sales(10, 20)])
    _set_times(place, [at(1), at(60)])
    _add(facts, "stale", version=1, rows=20)


def _churn(lake: Path, facts: Expected) -> None:
    """Registered by a pair, under another name than its folder, whose name has a blank."""
    place = lake.parent / "warehouse" / "customer churn"
    _written(place, [_sales(0, 30), _sales(30, 60), _sales(60, 90)])
    _set_times(place, [at(1), at(2), at(3)])
    _add(facts, "churn", version=2, rows=90)


def _empty(lake: Path, facts: Expected) -> None:
    _written(lake / "empty", [_sales(0, 0)])
    _set_times(lake / "empty", [at(0)])
    _add(facts, "empty", version=0, rows=0)


def _checkpointed(lake: Path, facts: Expected) -> None:
    """The checkpoint is damaged; all JSON commits are there."""
    place = lake / "checkpointed"
    _written(place, [_sales(number, number + 1) for number in range(4)])
    deltalake.DeltaTable(str(place), version=2).create_checkpoint()
    (place / "_delta_log" / f"{2:020d}.checkpoint.parquet").write_bytes(b"PAR1 and no more")
    _set_times(place, [at(number) for number in range(4)])
    _add(facts, "checkpointed", version=3, rows=4)


def _vacuumed(lake: Path, facts: Expected) -> None:
    """Version 0 was overwritten and its file removed, as VACUUM does."""
    place = lake / "vacuumed"
    _written(place, [_sales(0, 3)])
    files = list(place.glob("*.parquet"))
    deltalake.write_deltalake(str(place), _sales(10, 14), mode="overwrite")
    for file in files:
        file.unlink()
    _set_times(place, [at(0), at(1)])
    _add(facts, "vacuumed", version=1, rows=4)
    facts["tables"]["vacuumed"]["at"] = {"0": {"verdict": "files vacuumed"}}


# ------------------------------------------------------------------------------------------------ written by hand


def _valid_until(lake: Path, facts: Expected) -> None:
    """INT96 timestamps, as Spark writes them, outside of what 64-bit nanoseconds hold."""
    stamps = [_stamp(9999, 12, 31), _stamp(1, 1, 1), _stamp(2026, 11, 29, 1, 2, 3, 456_789), _stamp(2500, 1, 1)]
    table = HandmadeTable(lake / "valid_until")
    rows = pa.table({"id": pa.array(range(4), pa.int64()), "valid_to": microseconds(stamps)})
    table.create([*ID, column("valid_to", "timestamp")], table.add(rows, int96=True, stats={"numRecords": 4}))
    _add(facts, "valid_until", version=0, rows=4)
    facts["queries"] += [
        ["SELECT count(*) AS n FROM valid_until WHERE valid_to > '2200-01-01'", [[2]]],
        ["SELECT valid_to FROM valid_until WHERE id = 2", [["2026-11-29T01:02:03.456789Z"]]],
        ["SELECT valid_to FROM valid_until WHERE id = 1", [["0001-01-01T00:00:00.000Z"]]],
    ]


def _calendar(lake: Path, facts: Expected) -> None:
    """A timestamp in the year 10000 in UTC and dates outside of the years 1 to 9999."""
    day = 86_400_000_000
    table = HandmadeTable(lake / "calendar")
    rows = pa.table(
        {
            "id": pa.array([1, 2], pa.int64()),
            "until": microseconds([2_932_897 * day + 5 * 3_600_000_000, None]),
            "day": pa.array([2_932_897, -719_163], pa.int32()).cast(pa.date32()),
        }
    )
    table.create([*ID, column("until", "timestamp"), column("day", "date")], table.add(rows))
    _add(facts, "calendar", version=0, rows=2)
    wide = [[1, "10000-01-01T05:00:00.000Z", "10000-01-01"], [2, None, "0000-12-31"]]
    facts["queries"].append(["SELECT * FROM calendar ORDER BY id", wide])


def _nested(lake: Path, facts: Expected) -> None:
    """A null inside a list of structs that have a required field."""
    required = {"type": "struct", "fields": [column("a", "long", nullable=False)]}
    arrow = pa.struct([pa.field("a", pa.int64(), nullable=False)])
    values = pa.array([[{"a": 1}, None], []], pa.list_(pa.field("element", arrow)))
    table = HandmadeTable(lake / "nested")
    rows = table.add(pa.table({"id": pa.array([1, 2], pa.int64()), "list": values}), stats={"numRecords": 2})
    listed = {"type": "array", "elementType": required, "containsNull": True}
    table.create([*ID, column("list", listed)], rows)
    _add(facts, "nested", version=0, rows=2)
    facts["queries"] += [
        ["SELECT id FROM nested ORDER BY id", [[1], [2]]],
        ["SELECT * FROM nested ORDER BY id", [[1, [{"a": 1}, None]], [2, []]]],
    ]


def _broken_statistics(lake: Path, facts: Expected) -> None:
    table = HandmadeTable(lake / "broken_statistics")
    table.create(ID, table.add(_ids(1, 2), stats='{"numRecords":2,"minValues":{"id":NaN}}'))
    table.commit(table.add(_ids(3), stats='{"numRec'))
    _add(facts, "broken_statistics", version=1, rows=3)
    facts["queries"].append(["SELECT id FROM broken_statistics WHERE id > 1 ORDER BY id", [[2], [3]]])


def _uncounted(lake: Path, facts: Expected) -> None:
    """No statistics: only the rows themselves tell how many there are."""
    table = HandmadeTable(lake / "uncounted")
    table.create(ID, table.add(_ids(*range(7))))
    _add(facts, "uncounted", version=0, rows=7)


def _deleted_rows(lake: Path, facts: Expected) -> None:
    """A deletion vector: 10 rows in the file, of which 3 are deleted."""
    table = HandmadeTable(lake / "deleted_rows")
    added = table.add(_ids(*range(10)), stats={"numRecords": 10})
    protocol = table.protocol(features=["deletionVectors"])
    table.commit(protocol, table.metadata(ID, delta__enableDeletionVectors="true"), added)
    stored, size = _inline_vector([0, 4, 9])
    vector = {"storageType": "i", "pathOrInlineDv": stored, "sizeInBytes": size, "cardinality": 3}
    remove = {"remove": {"path": added["add"]["path"], "dataChange": True, "deletionTimestamp": 1}}
    table.commit(
        _info("DELETE", {"predicate": '["(id IN (0, 4, 9))"]'}, numDeletedRows="3", numDeletionVectorsAdded="1"),
        remove,
        {"add": {**added["add"], "deletionVector": vector}},
    )
    _add(facts, "deleted_rows", version=1, rows=7)
    facts["queries"] += [
        ["SELECT count(*) AS n, sum(id) AS s FROM deleted_rows", [[7, 45 - 13]]],
        ["SELECT count(*) AS n FROM deleted_rows VERSION AS OF 0", [[10]]],
    ]
    facts["diffs"].append({"table": "deleted_rows", "a": 0, "b": 1, "added": 0, "removed": 3})


def _clone(lake: Path, facts: Expected) -> None:
    """Spark's SHALLOW CLONE of a table partitioned by a timestamp: absolute URIs, the folder escaped twice."""
    source, clone = HandmadeTable(lake / "events"), HandmadeTable(lake / "events_clone")
    fields = [*ID, column("d", "timestamp")]
    folder = "d=2026-11-05 10%3A20%3A00"
    added = source.add(_ids(1, 2), folder=folder, partition={"d": "2026-11-05 10:20:00"}, stats={"numRecords": 2})
    source.create(fields, added, partitions=["d"])
    path = f"file:{source.root}/{added['add']['path']}"
    clone.create(fields, {"add": {**added["add"], "path": path}}, partitions=["d"], table_id=_table_id(2))
    _add(facts, "events", version=0, rows=2)
    _add(facts, "events_clone", version=0, rows=2)
    facts["queries"].append(
        ["SELECT id, d FROM events_clone ORDER BY id", [[n, "2026-11-05T10:20:00.000Z"] for n in (1, 2)]]
    )


def _live(lake: Path, facts: Expected) -> None:
    """Delta Live Tables: version 0 describes no columns. The embedded engine refuses the rows and says why."""
    table = HandmadeTable(lake / "live")
    first = table.metadata(ID)
    del first["metaData"]["schemaString"]
    table.commit(table.protocol(), first)
    table.commit(table.metadata(ID), table.add(_ids(1, 2), stats={"numRecords": 2}))
    _add(facts, "live", version=1, rows=2, verdict="engine refuses", words=["Delta Live Tables", "MODELLEDGER_ENGINE"])


def _gap(lake: Path, facts: Expected) -> None:
    """Commit 2 of 0 to 3 is missing."""
    table = HandmadeTable(lake / "gap")
    table.create(ID, table.add(_ids(1), stats={"numRecords": 1}))
    for number in (2, 3, 4):
        table.commit(table.add(_ids(number), stats={"numRecords": 1}))
    table.log_file(2).unlink()
    _add(facts, "gap", words=[f"{2:020d}.json"])
    facts["tables"]["gap"]["history"] = [1, 0]
    facts["queries"].append(["SELECT count(*) AS n FROM gap VERSION AS OF 1", [[2]]])


def _bad_time(lake: Path, facts: Expected) -> None:
    """An in-commit timestamp that is no number: this table cannot be understood, all others can."""
    table = HandmadeTable(lake / "bad_time")
    described = table.metadata(ID, delta__enableInCommitTimestamps="true")
    table.commit(
        {"commitInfo": {"operation": "WRITE", "inCommitTimestamp": "soon"}},
        table.protocol(features=["inCommitTimestamp"]),
        described,
        table.add(_ids(1)),
    )
    _add(facts, "bad_time", words=[f"{0:020d}.json"])


def _clock(lake: Path, facts: Expected) -> None:
    """File times that do not increase: 9 s, 1 s and 20 s after noon."""
    table = HandmadeTable(lake / "clock")
    table.create(ID, table.add(_ids(1), stats={"numRecords": 1}))
    for number in (2, 3):
        table.commit(table.add(_ids(number), stats={"numRecords": 1}))
    noon = datetime(2026, 10, 1, 12, tzinfo=UTC)
    _set_times(table.root, [noon + timedelta(seconds=seconds) for seconds in (9, 1, 20)])
    _add(facts, "clock", version=2, rows=3)
    facts["queries"] += [
        ["SELECT count(*) AS n FROM clock TIMESTAMP AS OF '2026-10-01T12:00:09.000Z'", [[1]]],
        ["SELECT count(*) AS n FROM clock TIMESTAMP AS OF '2026-10-01T12:00:09.001Z'", [[2]]],
    ]
    facts["commits"].append({"table": "clock", "version": 1, "timestamp": "2026-10-01T12:00:09.001Z"})


def _renamed(lake: Path, facts: Expected) -> None:
    """Column mapping by name: the column `amt` is renamed to `amount` without touching a file."""
    table = HandmadeTable(lake / "renamed")

    def fields(name: str) -> list[dict[str, Any]]:
        mapped = {"delta.columnMapping.id": 1, "delta.columnMapping.physicalName": "col-7f"}
        other = {"delta.columnMapping.id": 2, "delta.columnMapping.physicalName": "col-80"}
        return [column(name, "double", **mapped), column("id", "long", **other)]

    mode = {"delta__columnMapping__mode": "name", "delta__columnMapping__maxColumnId": "2"}
    rows = table.add(pa.table({"col-7f": [1.5, 2.5], "col-80": pa.array([1, 2], pa.int64())}), stats={"numRecords": 2})
    table.commit(table.protocol(2, 5), table.metadata(fields("amt"), **mode), rows)
    renaming = _info("RENAME COLUMN", {"oldColumnPath": "amt", "newColumnPath": "amount"})
    table.commit(renaming, table.metadata(fields("amount"), **mode))
    _add(facts, "renamed", version=1, rows=2)
    facts["queries"].append(["SELECT amount FROM renamed ORDER BY id", [[1.5], [2.5]]])
    facts["diffs"].append({"table": "renamed", "a": 0, "b": 1, "added": 0, "removed": 0, "renamed": ["amt", "amount"]})


def _merged(lake: Path, facts: Expected) -> None:
    """MERGE, UPDATE and DELETE with the commitInfo that Databricks writes."""
    table = HandmadeTable(lake / "merged")
    first = table.add(_ids(*range(10)), stats={"numRecords": 10})
    table.create(ID, first)
    remove = {"remove": {"path": first["add"]["path"], "dataChange": True, "deletionTimestamp": 1}}
    second = table.add(_ids(*range(11)), stats={"numRecords": 11})
    merge = {
        "predicate": '["(s.id = t.id)"]',
        "matchedPredicates": '[{"actionType":"update"},{"predicate":"(s.gone = true)","actionType":"delete"}]',
        "notMatchedPredicates": '[{"actionType":"insert"}]',
    }
    counts = {"numTargetRowsInserted": "2", "numTargetRowsUpdated": "3", "numTargetRowsDeleted": "1"}
    table.commit(_info("MERGE", merge, **counts, numOutputRows="9"), remove, second)
    remove = {"remove": {"path": second["add"]["path"], "dataChange": True, "deletionTimestamp": 1}}
    third = table.add(_ids(*range(7)), stats={"numRecords": 7})
    table.commit(_info("DELETE", {"predicate": '["(id > 6)"]'}, numDeletedRows="4", numCopiedRows="7"), remove, third)
    _set_times(table.root, [at(0), at(1), at(2)])
    _add(facts, "merged", version=2, rows=7)
    provenance = ["nightly load", "4443", "1103-093000-abc", "WriteSerializable"]
    facts["commits"] += [
        {
            **{"table": "merged", "version": 1, "operation": "MERGE", "user": "ana@bank.example"},
            **{"rows_added": 5, "rows_removed": 4, "said": ["s.id = t.id", *provenance]},
        },
        {
            **{"table": "merged", "version": 2, "operation": "DELETE", "user": "ana@bank.example"},
            **{"rows_removed": 4, "said": ["id > 6", *provenance]},
        },
    ]


def _rewritten(lake: Path, facts: Expected) -> None:
    """The same rows rewritten with a wider type: no row changed."""
    table = HandmadeTable(lake / "rewritten")
    narrow = table.add(pa.table({"id": pa.array([1, 2], pa.int32())}), stats={"numRecords": 2})
    table.create([column("id", "integer")], narrow)
    remove = {"remove": {"path": narrow["add"]["path"], "dataChange": True, "deletionTimestamp": 1}}
    table.commit(remove, table.metadata(ID), table.add(_ids(1, 2), stats={"numRecords": 2}))
    _add(facts, "rewritten", version=1, rows=2)
    facts["diffs"].append({"table": "rewritten", "a": 0, "b": 1, "added": 0, "removed": 0, "changed": ["id"]})


def _signs(lake: Path, facts: Expected) -> None:
    """0.0 became −0.0, which is the same number."""
    table = HandmadeTable(lake / "signs")
    positive = table.add(pa.table({"x": [0.0, 1.0]}), stats={"numRecords": 2})
    table.create([column("x", "double")], positive)
    remove = {"remove": {"path": positive["add"]["path"], "dataChange": True, "deletionTimestamp": 1}}
    table.commit(remove, table.add(pa.table({"x": [-0.0, 1.0]}), stats={"numRecords": 2}))
    _add(facts, "signs", version=1, rows=2)
    facts["diffs"].append({"table": "signs", "a": 0, "b": 1, "added": 0, "removed": 0})


def _cut(lake: Path, facts: Expected) -> None:
    """The data file was cut to 300 bytes."""
    table = HandmadeTable(lake / "cut")
    added = table.add(_ids(1, 2), stats={"numRecords": 2})
    table.create(ID, added)
    path = table.root / added["add"]["path"]
    path.write_bytes(path.read_bytes()[:300])
    _add(facts, "cut", version=0, rows=2, verdict="files changed", words=["300 bytes"])


def _variant(lake: Path, facts: Expected) -> None:
    """A feature that the embedded engine cannot read."""
    table = HandmadeTable(lake / "variant")
    features = table.protocol(features=["variantShredding"])
    table.commit(features, table.metadata(ID), table.add(_ids(1), stats={"numRecords": 1}))
    _add(
        facts, "variant", version=0, rows=1, verdict="engine refuses", words=["variantShredding", "MODELLEDGER_ENGINE"]
    )


def _per_cent(lake: Path, facts: Expected) -> None:
    table = HandmadeTable(lake / "per%20cent")
    table.create(ID, table.add(_ids(1, 2), stats={"numRecords": 2}))
    _add(facts, "per%20cent", version=0, rows=2, verdict="engine refuses", words=["Rename the folder"])


def _hostile(lake: Path, facts: Expected) -> None:
    """A folder whose name is Markdown and HTML."""
    table = HandmadeTable(lake / HOSTILE_TABLE)
    table.create(ID, _info("WRITE", {"mode": "<script>alert(1)</script>"}), table.add(_ids(1), stats={"numRecords": 1}))
    _add(facts, HOSTILE_TABLE, version=0, rows=1)


# --------------------------------------------------------------------------------------------------------- helpers


def _add(
    facts: Expected, name: str, *, version: int | None = None, rows: int | None = None, **verdict: str | list[str]
) -> None:
    """Notes what the table holds. Without a version the table cannot be opened at its latest version."""
    verdict.setdefault("verdict", "readable" if version is not None else "unknown")
    facts["tables"][name] = {"version": version, "rows": rows, "words": [], **verdict}


def _written(place: Path, parts: list[pa.Table]) -> None:
    for rows in parts:
        deltalake.write_deltalake(str(place), rows, mode="append")


def _set_times(place: Path, times: list[datetime]) -> None:
    """Sets the times of the commits, which are those of their files."""
    for version, moment in enumerate(times):
        file = place / "_delta_log" / f"{version:020d}.json"
        os.utime(file, ns=(milliseconds(moment) * 1_000_000,) * 2)


def _ids(*values: int) -> pa.Table:
    return pa.table({"id": pa.array(values, pa.int64())})


def _table_id(number: int) -> str:
    return f"5fba94ed-9794-4965-ba6e-{number:012d}"


def _stamp(*parts: int) -> int:
    """Microseconds since 1970 of a moment in UTC."""
    return (datetime(*parts) - _EPOCH) // timedelta(microseconds=1)  # type: ignore[arg-type]


def _info(operation: str, parameters: dict[str, str], **metrics: str) -> dict[str, Any]:
    """A commitInfo with the provenance that Databricks adds."""
    return {
        "commitInfo": {
            **{"timestamp": milliseconds(at(0)), "userId": "7012", "userName": "ana@bank.example"},
            **{"operation": operation, "operationParameters": parameters, "operationMetrics": metrics},
            "job": {"jobId": "88", "jobName": "nightly load", "jobRunId": "1234", "triggerType": "cron"},
            **{"notebook": {"notebookId": "4443"}, "clusterId": "1103-093000-abc"},
            **{"isolationLevel": "WriteSerializable", "engineInfo": "Databricks-Runtime/15.4.x-scala2.12"},
        }
    }


def _inline_vector(rows: list[int]) -> tuple[str, int]:
    """A deletion vector of *rows* (below 65,536) for the log itself, and its size in bytes.

    Source: Delta protocol, "Deletion Vector Format"; the specification of Roaring bitmaps; ZeroMQ RFC 32 (Z85).
    """
    container = struct.pack(f"<{len(rows)}H", *rows)
    bitmap = struct.pack("<IIHHI", 12346, 1, 0, len(rows) - 1, 16) + container
    stored = struct.pack("<IQI", 1681511377, 1, 0) + bitmap
    padded = stored + b"\0" * (-len(stored) % 4)
    return base64.b85encode(padded).decode().translate(str.maketrans(_B85, _Z85)), len(stored)


if __name__ == "__main__":
    import sys

    print(json.dumps(build_tables(Path(sys.argv[1])), indent=1))
