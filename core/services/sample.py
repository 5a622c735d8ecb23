"""Builds the sample workspace: real data that scikit-learn ships, through the same services as a user's own."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pyarrow as pa

from core.entities import Actor, Role
from core.services.ingest import ingest_data
from core.services.stores import Stores
from core.services.train import train

IRIS_TABLE = "iris_training_data"
DIABETES_TABLE = "diabetes_training_data"

SAMPLE_ACTOR = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="sample")

_SEED = 7


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
    """Makes what of the sample is missing and returns what was made, in words; a second call makes nothing.

    Each version is ingested and trained on before the next is added, as it would have happened. Interrupted, it
    goes on where it stopped: a version that is there is not ingested again, one with a model is not trained on again.
    """
    made: list[str] = []

    def done(line: str) -> None:
        made.append(line)
        tell(line)

    for name, recipe, load, sizes in _PARTS:
        table = stores.catalog.place(name)
        latest = stores.engine.latest_version(table) if stores.engine.exists(table) else -1
        trained = {v.data.version for v in stores.models.versions() if v.data and v.data.table == name}
        first_row = 0
        for version, size in enumerate(sizes):
            if version > latest:
                rows = load().slice(first_row, size)
                result = ingest_data(
                    stores,
                    SAMPLE_ACTOR,
                    table=name,
                    data=rows,
                    source="scikit-learn",
                    mode="append",
                    reason="sample workspace",
                )
                done(f"{result.table}@{result.version}: {result.rows_added} rows")
            if version not in trained:
                training = train(
                    stores, SAMPLE_ACTOR, recipe=recipe, table=name, version=version, reason="sample workspace"
                )
                done(f"{training.model} trained on {training.data}")
            first_row += size
    return tuple(made)
