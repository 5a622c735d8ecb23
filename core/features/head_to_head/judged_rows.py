"""Judged rows: the pinned rows on which model versions are judged, and the versions with their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from core.entities import ModelVersionKey, Run, TableVersion
from core.errors import BadParameter, ColumnNotFound, SchemaMismatch
from core.features.head_to_head.unseen_rows import is_unseen
from core.features.lineage.version_data import run_of
from core.features.stores import Stores
from core.learning.comparison.answers import Answers
from core.learning.frames import has_value
from core.learning.safety.inspect_model import ModelInfo, inspect_model
from core.texts import text

# On Spark more rows than these are not read to this process.
MOST_READ = 1_000_000
_FEWEST_ROWS = 10


@dataclass(frozen=True, kw_only=True)
class Side:
    """A model version that is judged, with its files in *folder*."""

    key: ModelVersionKey
    run: Run | None
    folder: Path
    info: ModelInfo


def open_side(stores: Stores, key: ModelVersionKey, place: Path) -> Side:
    """Download and inspect the files of *key* to the new folder *place*."""
    version = stores.models.version(key)
    place.mkdir()
    folder = stores.models.download(key, place)
    return Side(key=key, run=run_of(stores, version), folder=folder, info=inspect_model(folder))


def target_column(columns: Sequence[str], data: TableVersion, sides: Sequence[Side], target: str) -> str:
    """Return the column with the true values: *target*, or the parameter `target` of the runs."""
    logged = [side.run.params["target"] for side in sides if side.run and "target" in side.run.params]
    if not target and len(set(logged)) > 1:
        raise BadParameter(
            "The runs name different targets, {targets}. Two models compare only on one target; name it.",
            targets=", ".join(logged),
        )
    column = target or (logged[0] if logged else "")
    if not column:
        raise BadParameter("No run logged its target. Name the column with the true values.")
    if column not in columns:
        raise ColumnNotFound(
            "{table} has no column {column!r}; its columns are {columns}.",
            table=str(data),
            column=column,
            columns=", ".join(columns),
        )
    return column


def unseen_rows(
    stores: Stores, rows: pa.Table, data: TableVersion, sides: Sequence[Side], target: str
) -> tuple[pa.Table, int, tuple[str, ...]]:
    """Return the rows that no version was trained on, how many were left out, and notes. Raises BadParameter."""
    kept = has_value(rows.column(target))
    notes: list[str] = []
    if not kept.all():
        notes.append(no_target_note(int((~kept).sum()), target))
    read = {data: rows}
    for side in sides:
        unseen, note = is_unseen(stores, rows, data, side.key, side.run, side.info, read=read)
        kept &= unseen
        notes.append(note)
    require_rows(int(kept.sum()), rows.num_rows, data)
    return rows.filter(pa.array(kept)), rows.num_rows - int(kept.sum()), tuple(notes)


def no_target_note(count: int, target: str) -> str:
    """Return the note that *count* rows have no value of *target*."""
    return text("{count} rows have no value of {column} and were left out.", count=count, column=target)


def require_rows(left: int, rows: int, data: TableVersion) -> None:
    """Require that enough rows of *data* are left to judge a version on. Raises BadParameter."""
    if left < _FEWEST_ROWS:
        raise BadParameter(
            "{left} of {rows} rows of {data} are left that no version was trained on; at least {needed} "
            "are needed. Name a data version with other rows.",
            left=left,
            rows=rows,
            data=str(data),
            needed=_FEWEST_ROWS,
        )


def require_same_kind(side: Side, answers: Answers, actual: np.ndarray, column: str) -> None:
    """Require that a model predicts what *actual* (rows,) holds: texts or numbers. Raises SchemaMismatch."""
    if (answers.predicted.dtype == object) is not (actual.dtype == object):
        raise SchemaMismatch(
            "{model} predicts {predicted!r}, but {column!r} holds {actual!r}: they cannot be compared.",
            model=str(side.key),
            predicted=answers.predicted[:1].tolist()[0],
            column=column,
            actual=actual[:1].tolist()[0],
        )
