"""Checkpoints of a Delta log: the state at a version in Parquet, where older JSON may be cleaned away."""

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

# Leaves of a checkpoint that the state needs; minima and maxima of columns are left where they are.
_LEAVES = (
    "add.path.",
    "add.size.",
    "add.stats.",
    "add.stats_parsed.numRecords.",
    "add.deletionVector.",
    "metaData.id.",
    "metaData.schemaString.",
    "metaData.partitionColumns.",
    "protocol.",
    "txn.",
    "sidecar.path.",
)


def checkpoints(names: Iterable[str]) -> dict[int, tuple[str, ...]]:
    """Complete checkpoints by version: the files of each one, without the log's folder."""
    parts: dict[tuple[int, int], dict[int, str]] = defaultdict(dict)
    found: dict[int, tuple[str, ...]] = {}
    for name in names:
        match = _NAME.match(name)
        if match is None:
            continue
        version = int(match["version"])
        if match["part"] is None:
            found[version] = (name,)
        else:
            parts[version, int(match["parts"])][int(match["part"])] = name
    for (version, total), have in parts.items():
        if len(have) == total and version not in found:
            found[version] = tuple(have[part] for part in sorted(have))
    return found


def hinted_version(files: LogFiles) -> int | None:
    """The version that _last_checkpoint names: a hint only, it may be stale, dangling or damaged."""
    try:
        hint = orjson.loads(files.read(HINT).data)
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    version = hint.get("version") if isinstance(hint, dict) else None
    return version if isinstance(version, int) else None


def load(table: str, version: int, names: Iterable[str], files: LogFiles) -> tuple[State, float]:
    """The state at *version* and when its checkpoint was written (seconds since 1970).

    Raises LogCorrupt, naming the file.
    """
    state, modified_s = State(table), 0.0
    for name in names:
        sidecars: list[str] = []
        path = f"{LOG_FOLDER}/{name}"
        file = files.read(path)
        modified_s = max(modified_s, file.modified_s)
        state.apply(version, _noting_sidecars(_rows(file.data, path, table), sidecars), path)
        for sidecar in sidecars:
            below = sidecar if "/" in sidecar else f"{LOG_FOLDER}/_sidecars/{sidecar}"
            try:
                data = files.read(below).data
            except FileNotFoundError as error:
                raise LogCorrupt(f"{table}: {path} needs {below}, which is gone.", table=table, file=below) from error
            state.apply(version, _rows(data, below, table), below)
    return state, modified_s


def _noting_sidecars(actions: Iterable[dict[str, Any]], into: list[str]) -> Iterator[dict[str, Any]]:
    for action in actions:
        if "sidecar" in action:
            into.append(action["sidecar"]["path"])
        else:
            yield action


def _rows(data: bytes, name: str, table: str) -> Iterator[dict[str, Any]]:
    """Actions of a checkpoint file; each row holds one."""
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
        raise LogCorrupt(f"{table}: {name} is damaged: {error}", table=table, file=name) from error


def _leaf_paths(file: Any) -> list[str]:
    return [file.schema.column(position).path for position in range(len(file.schema))]
