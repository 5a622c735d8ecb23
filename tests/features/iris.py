"""Real data for tests of services: Fisher's iris in table versions, shuffled so that every part holds all species."""

from __future__ import annotations

import pyarrow as pa
from sklearn.datasets import load_iris
from sklearn.utils import shuffle

from core.entities import TableVersion
from core.features.stores import Stores

TABLE = "iris_training_data"


def iris() -> pa.Table:
    """150 rows, four measures and `species`."""
    bunch = load_iris(as_frame=True)
    frame = bunch.data.rename(columns=lambda name: name.replace(" (cm)", "_cm").replace(" ", "_"))
    frame["species"] = [str(bunch.target_names[code]) for code in bunch.target]
    return pa.Table.from_pandas(shuffle(frame, random_state=7), preserve_index=False)


def write_iris(
    stores: Stores, *, table: str = TABLE, sizes: tuple[int, ...] = (50, 50, 50)
) -> tuple[TableVersion, ...]:
    """Appends parts of iris; part n is version n."""
    place, rows, first, made = stores.catalog.place(table), iris(), 0, []
    for size in sizes:
        version = stores.engine.write(place, rows.slice(first, size), mode="append")
        made.append(TableVersion(table=table, version=version))
        first += size
    return tuple(made)
