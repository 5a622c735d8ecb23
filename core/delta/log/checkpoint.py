"""Read checkpoints of a Delta log: the state at a version, for when older commit files were cleaned up."""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from core.delta.log.log_files import LOG_FOLDER, LogFiles
from core.delta.log.state import State
from core.errors import LogCorrupt

HINT = f"{LOG_FOLDER}/_last_checkpoint"

_NAME = re.compile(
    r"^(?P<version>\d{20})\.checkpoint"
    r"(?:\.(?P<part>\d{10})\.(?P<parts>\d{10})|\.(?P<uuid>[0-9a-fA-F-]{36}))?\.(?P<kind>parquet|json)$"
)

# The leaf columns of a checkpoint that the state needs; the minima and maxima of the table's columns are not read.
_LEAVES = (
    "add.path.",
    "add.size.",
    "add.stats.",
    "add.stats_parsed.numRecords.",
    "add.deletionVector.",
    "metaData.id.",
    "metaData.schemaString.",
    "metaData.partitionColumns.",
    "metaData.configuration.",
    "protocol.",
    "txn.",
    "sidecar.path.",
)


def checkpoints(names: Iterable[str]) -> dict[int, tuple[str, ...]]:
    """Return the files of each complete checkpoint by version, without the log's folder."""
    parts: dict[tuple[int, int], dict[int, str]] = defaultdict(dict)
    complete: dict[int, tuple[str, ...]] = {}
    for name in names:
        match = _NAME.match(name)
        if match is None:
            continue
        version = int(match["version"])
        if match["part"] is None:
            complete[version] = (name,)
        else:
            parts[version, int(match["parts"])][int(match["part"])] = name
    for (version, total), part_names in parts.items():
        if len(part_names) == total and version not in complete:
            complete[version] = tuple(part_names[part] for part in sorted(part_names))
    return complete


def hinted_version(files: LogFiles) -> int | None:
    """Return the version in _last_checkpoint. The hint may be outdated, damaged or name a missing checkpoint."""
    try:
        hint = orjson.loads(files.read(HINT).data)
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    version = hint.get("version") if isinstance(hint, dict) else None
    return version if isinstance(version, int) else None


def load(table: str, version: int, names: Iterable[str], files: LogFiles) -> tuple[State, float]:
    """Return the state at *version* and the time when its checkpoint was written, in seconds since 1970.

    Raises LogCorrupt, which names the file.
    """
    state, modified_s = State(table), 0.0
    for name in names:
        sidecars: list[str] = []
        path = f"{LOG_FOLDER}/{name}"
        file = files.read(path)
        modified_s = max(modified_s, file.modified_s)
        state.apply(version, _collect_sidecars(_rows(file.data, path, table), sidecars), path)
        for sidecar in sidecars:
            sidecar_path = sidecar if "/" in sidecar else f"{LOG_FOLDER}/_sidecars/{sidecar}"
            try:
                data = files.read(sidecar_path).data
            except FileNotFoundError as error:
                raise LogCorrupt(
                    "{table}: {checkpoint} needs {file}, which is missing.",
                    table=table,
                    checkpoint=path,
                    file=sidecar_path,
                ) from error
            state.apply(version, _rows(data, sidecar_path, table), sidecar_path)
    return state, modified_s


def _collect_sidecars(actions: Iterable[dict[str, Any]], into: list[str]) -> Iterator[dict[str, Any]]:
    for action in actions:
        if "sidecar" in action:
            into.append(action["sidecar"]["path"])
        else:
            yield action


def _rows(data: bytes, name: str, table: str) -> Iterator[dict[str, Any]]:
    """Yield the actions of a checkpoint file, one per row."""
    try:
        if name.endswith(".json"):
            yield from (orjson.loads(line) for line in data.split(b"\n") if line.strip())
            return
        with pq.ParquetFile(io.BytesIO(data)) as file:
            leaves = [path for path in _leaf_paths(file) if f"{path}.".startswith(_LEAVES)]
            for batch in file.iter_batches(columns=leaves):
                for row in batch.to_pylist():
                    yield {key: value for key, value in row.items() if value is not None}
    except (pa.ArrowException, orjson.JSONDecodeError, OSError) as error:
        raise LogCorrupt("{table}: {file} is damaged: {cause}", table=table, file=name, cause=str(error)) from error


def _leaf_paths(file: Any) -> list[str]:
    return [file.schema.column(position).path for position in range(len(file.schema))]
