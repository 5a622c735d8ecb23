"""Builds the sample workspace: real data that scikit-learn ships, through the same services as a user's own."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pyarrow as pa

from core.access.permissions import Action
from core.entities import Actor, Event, Outcome, Role, TableVersion
from core.features.data.ingest import ingest_data
from core.features.stores import Stores
from core.features.training.train import train

IRIS_TABLE = "iris_training_data"
DIABETES_TABLE = "diabetes_training_data"

SAMPLE_ACTOR = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="sample")

_SEED = 7
_REASON = "sample workspace"


def iris_data() -> pa.Table:
    """Fisher's iris: 150 rows, four lengths in cm and the species, shuffled so that any 50 hold all three."""
    from sklearn.datasets import load_iris

    bunch = load_iris(as_frame=True)
    frame = bunch.frame.rename(columns=lambda name: name.replace(" (cm)", "_cm").replace(" ", "_"))
    frame["species"] = [str(bunch.target_names[code]) for code in frame.pop("target")]
    return _shuffled(frame)


def diabetes_data() -> pa.Table:
    """Efron's diabetes study: 442 rows, ten standardized baseline values and the progression a year later."""
    from sklearn.datasets import load_diabetes

    frame = load_diabetes(as_frame=True).frame.rename(columns={"target": "progression"})
    return _shuffled(frame)


def _shuffled(frame: pd.DataFrame) -> pa.Table:
    from sklearn.utils import shuffle

    return pa.Table.from_pandas(shuffle(frame, random_state=_SEED), preserve_index=False)


# Table, recipe, its data, and the rows that each version adds.
_PARTS: tuple[tuple[str, str, Callable[[], pa.Table], tuple[int, ...]], ...] = (
    (IRIS_TABLE, "iris_classifier", iris_data, (50, 50, 50)),
    (DIABETES_TABLE, "diabetes_progression", diabetes_data, (200, 242)),
)


def build_sample(stores: Stores, *, tell: Callable[[str], None] = lambda line: None) -> tuple[str, ...]:
    """Makes what of the sample was never made and returns what was made, in words; a second call makes nothing.

    Each version is ingested and trained on before the next is added, as it would have happened. Interrupted, it
    goes on where it stopped. What was made is known by the audit log: a version or a model that somebody took away
    since is not made again behind their back, nor one that is there and that the log does not tell of.
    """
    made: list[str] = []

    def done(line: str) -> None:
        made.append(line)
        tell(line)

    ingested, trained = _told_by_the_log(stores)
    for name, recipe, load, sizes in _PARTS:
        table = stores.catalog.place(name)
        latest = stores.engine.latest_version(table) if stores.engine.exists(table) else -1
        there = {str(v.data) for v in stores.models.versions() if v.data and v.data.table == name}
        first_row = 0
        for version, size in enumerate(sizes):
            key = str(TableVersion(table=name, version=version))
            if version > latest and key in ingested:
                break  # taken away since; nothing can be trained on it or added after it
            if version > latest:
                rows = load().slice(first_row, size)
                result = ingest_data(
                    stores,
                    SAMPLE_ACTOR,
                    table=name,
                    data=rows,
                    source="scikit-learn",
                    mode="append",
                    reason=_REASON,
                )
                done(f"{result.table}@{result.version}: {result.rows_added} rows")
            if key not in trained | there:
                training = train(stores, SAMPLE_ACTOR, recipe=recipe, table=name, version=version, reason=_REASON)
                done(f"{training.model} trained on {training.data}")
            first_row += size
    return tuple(made)


def _told_by_the_log(stores: Stores) -> tuple[set[str], set[str]]:
    """The data versions that the sample ever ingested, and those that it ever trained on, as TABLE@N."""

    def found(action: Action) -> tuple[Event, ...]:
        events = stores.audit.search(
            actor=SAMPLE_ACTOR.name, action=action.value, outcome=Outcome.SUCCESS.value, limit=None
        )
        return tuple(event for event in events if event.reason == _REASON)

    return (
        {event.subject for event in found(Action.DATA_INGEST)},
        {str(event.after.get("data")) for event in found(Action.RUN_TRAIN)},
    )
