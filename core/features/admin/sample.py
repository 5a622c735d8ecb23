"""Builds the sample workspace from data that scikit-learn ships, through the same services as user data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa

from core.access.permissions import Action
from core.entities import Actor, Event, ModelVersionKey, Outcome, Role, TableVersion
from core.features.data.ingest import ingest_data
from core.features.head_to_head.head_to_head import head_to_head
from core.features.stores import Stores
from core.features.training.train import train
from core.settings_file import NAME, settings_file
from core.texts import text

IRIS_TABLE = "iris_training_data"
DIABETES_TABLE = "diabetes_training_data"

SAMPLE_ACTOR = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="sample")

# Which gates guard Production is a setting, so the sample writes a settings file if there is none.
POLICY = """\
# The settings of the sample workspace. A file modelledger.toml in the working folder replaces this one.
# Explained in docs/policies.md.

[[policies.diabetes_progression]]
gate = "data_readable"

[[policies.diabetes_progression]]
gate = "no_high_finding"

[[policies.diabetes_progression]]
gate = "better_head_to_head"
metric = "rmse"
data = "diabetes_training_data@1"

[[policies.diabetes_progression]]
gate = "no_slice_worse"
metric = "rmse"
data = "diabetes_training_data@1"
rows = 20
by = 5.0
"""

_SEED = 7
_REASON = "sample workspace"


def iris_data() -> pa.Table:
    """Return Fisher's iris data: 150 rows, four lengths in cm and the species. Any 50 rows hold all three species."""
    from sklearn.datasets import load_iris

    bunch = load_iris(as_frame=True)
    frame = bunch.frame.rename(columns=lambda name: name.replace(" (cm)", "_cm").replace(" ", "_"))
    frame["species"] = [str(bunch.target_names[code]) for code in frame.pop("target")]
    return _shuffled(frame)


def diabetes_data() -> pa.Table:
    """Return Efron's diabetes study: 442 rows, ten standardized baseline values and the progression a year later."""
    from sklearn.datasets import load_diabetes

    frame = load_diabetes(as_frame=True).frame.rename(columns={"target": "progression"})
    return _shuffled(frame)


def _shuffled(frame: pd.DataFrame) -> pa.Table:
    from sklearn.utils import shuffle

    return pa.Table.from_pandas(shuffle(frame, random_state=_SEED), preserve_index=False)


# Table, recipe, data, and the number of rows that each version adds.
_PARTS: tuple[tuple[str, str, Callable[[], pa.Table], tuple[int, ...]], ...] = (
    (IRIS_TABLE, "iris_classifier", iris_data, (50, 50, 50)),
    (DIABETES_TABLE, "diabetes_progression", diabetes_data, (200, 242)),
)


def build_sample(stores: Stores, *, notify: Callable[[str], None] = lambda line: None) -> tuple[str, ...]:
    """Build the missing parts of the sample and return one line for each. A second call builds nothing.

    Each version is ingested and trained on before the next one is added. After an interruption, the next call
    continues.
    The audit log tells which parts were built before: a part that was deleted since is not built again, and a part
    that exists without an event is left alone. *notify* is called with each line.
    """
    lines: list[str] = []

    def report(line: str) -> None:
        lines.append(line)
        notify(line)

    ingested, trained = _parts_in_log(stores)
    for name, recipe, load, sizes in _PARTS:
        table = stores.catalog.place(name)
        latest = stores.engine.latest_version(table) if stores.engine.exists(table) else -1
        registered = {str(v.data) for v in stores.models.versions() if v.data and v.data.table == name}
        first_row = 0
        for version, size in enumerate(sizes):
            key = str(TableVersion(table=name, version=version))
            if version > latest and key in ingested:
                break  # deleted since: nothing can be trained on this version or added after it
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
                report(text("{data}: {rows} rows", data=key, rows=result.rows_added))
            if key not in trained | registered:
                training = train(stores, SAMPLE_ACTOR, recipe=recipe, table=name, version=version, reason=_REASON)
                report(text("{model} trained on {data}", model=str(training.model), data=str(training.data)))
            first_row += size
    if not _sample_events(stores, Action.MODEL_COMPARE):
        _compare(stores, report)
    return tuple(lines)


def _compare(stores: Stores, report: Callable[[str], None]) -> None:
    """Compare both versions of the diabetes model, and write the policy whose gates use the comparison."""
    first, second = (ModelVersionKey(model="diabetes_progression", version=version) for version in (1, 2))
    if not {first, second} <= {version.key for version in stores.models.versions(first.model)}:
        return
    compared = head_to_head(stores, SAMPLE_ACTOR, first, second, table=DIABETES_TABLE, version=1, reason=_REASON)
    report(
        text("{second} compared with {first} on {data}", second=str(second), first=str(first), data=str(compared.data))
    )
    write_policy(stores.settings.home)


def write_policy(home: Path) -> None:
    """Write a settings file with the policy of the sample to *home*, unless there is a settings file already."""
    if settings_file(home) is None:
        (home / NAME).write_text(POLICY, encoding="utf-8")


def _parts_in_log(stores: Stores) -> tuple[set[str], set[str]]:
    """The data versions that the sample ever ingested, and those that it ever trained on, as TABLE@N."""
    return (
        {event.subject for event in _sample_events(stores, Action.DATA_INGEST)},
        {str(event.after.get("data")) for event in _sample_events(stores, Action.RUN_TRAIN)},
    )


def _sample_events(stores: Stores, action: Action) -> tuple[Event, ...]:
    events = stores.audit.search(
        actor=SAMPLE_ACTOR.name, action=action.value, outcome=Outcome.SUCCESS.value, limit=None
    )
    return tuple(event for event in events if event.reason == _REASON)
