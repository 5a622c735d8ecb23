"""Compare two model versions: what differs, and whether callers of the first can call the second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from itertools import zip_longest

from core.access.permissions import Action, require
from core.entities import Actor, DataUse, ModelVersionKey
from core.errors import BadInput, CoreError
from core.features.lineage.origin import CODE_TAGS, code_of
from core.features.lineage.version_data import DataView
from core.features.runs.compare import Direction, all_names, deltas, direction
from core.features.runs.models import ModelVersionView, show_model_version
from core.features.runs.own_tags import is_own_tag
from core.features.runs.version_metrics import test_rows_of
from core.features.stores import Stores
from core.learning.comparison.requirements import pins
from core.learning.comparison.signatures import SignatureComparison, compare_signatures
from core.learning.kpis import is_kpi
from core.redact import masked
from core.texts import joined, text

# Shown as code and as "trained by".
_SHOWN_ELSEWHERE = frozenset({*CODE_TAGS, "mlflow.user", "mlflow.runName"})


class Part(str, Enum):
    """A group of facts about a version. The value is the key in JSON."""

    VERSION = "version"
    PARAMS = "params"
    CODE = "code"
    ARTIFACT = "artifact"
    ENVIRONMENT = "environment"
    REQUIREMENTS = "requirements"
    TAGS = "tags"
    RUN_TAGS = "run_tags"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One fact about both versions; None where a version does not have it, or where it is not known.

    *is_own* marks a tag of MLflow or ModelLedger, such as mlflow.loggedModels: it differs between any two versions.
    """

    name: str
    first: str | None
    second: str | None
    is_own: bool = False

    @property
    def differs(self) -> bool:
        return self.first != self.second


@dataclass(frozen=True, kw_only=True)
class MetricPair:
    """A metric of both versions. *delta* is second minus first, None unless both are finite."""

    name: str
    first: float | None
    second: float | None
    delta: float | None
    direction: Direction

    @property
    def differs(self) -> bool:
        # NaN equals NaN.
        return repr(self.first) != repr(self.second)


class DataComparison(str, Enum):
    """Whether both versions used the same data. UNKNOWN: a version is not known, or the table was replaced."""

    SAME = "same"
    DIFFERENT = "different"
    ONE_ONLY = "one_only"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class DataSide:
    """Data of one version. *rows* is the number of rows of the table version, None where it is not known."""

    view: DataView
    rows: int | None


@dataclass(frozen=True, kw_only=True)
class DataPair:
    """What both versions used of one table in one way; None where a version did not use the table."""

    table: str | None
    use: DataUse
    first: DataSide | None
    second: DataSide | None

    @property
    def comparison(self) -> DataComparison:
        if self.first is None or self.second is None:
            return DataComparison.ONE_ONLY
        first, second = self.first.view, self.second.view
        if None in (self.table, first.source.version, second.source.version):
            return DataComparison.UNKNOWN
        if first.source.version != second.source.version:
            return DataComparison.DIFFERENT
        ids = {source.table_id for source in (first.source, second.source) if source.table_id}
        is_doubtful = first.is_other_data or second.is_other_data or len(ids) > 1
        return DataComparison.UNKNOWN if is_doubtful else DataComparison.SAME

    @property
    def versions_to_diff(self) -> tuple[int, int] | None:
        """The two versions of one registered table whose rows can be compared; None if there are not two."""
        keys = [side.view.source.key if side else None for side in (self.first, self.second)]
        if keys[0] is None or keys[1] is None or keys[0].table != keys[1].table or keys[0] == keys[1]:
            return None
        return keys[0].version, keys[1].version


@dataclass(frozen=True, kw_only=True)
class VersionComparison:
    """Two model versions. *notes* must be read before the numbers; *unknown* says what is not known of a version."""

    first: ModelVersionView
    second: ModelVersionView
    metrics: tuple[MetricPair, ...]
    facts: Mapping[Part, tuple[Pair, ...]]
    signature: SignatureComparison
    data: tuple[DataPair, ...]
    notes: tuple[str, ...]
    unknown: tuple[str, ...]


def compare_versions(
    stores: Stores, actor: Actor, first: ModelVersionKey, second: ModelVersionKey
) -> VersionComparison:
    """Compare *second* with *first*, for example a candidate with the version in Production.

    What cannot be read (a lost run, a foreign artifact, a table that is not registered) is unknown, not an error. The
    artifacts are inspected and hashed, never loaded.

    Raises:
        ModelNotFound, ModelVersionNotFound, RegistryUnavailable, Forbidden
        BadInput: both are the same version.
    """
    require(actor, Action.MODEL_READ)
    if first == second:
        raise BadInput("{version} is the same version twice. Choose another version to compare with.", version=first)
    a, b = (show_model_version(stores, actor, key, with_sha256=True) for key in (first, second))
    return VersionComparison(
        first=a,
        second=b,
        metrics=_metrics(a, b),
        facts={
            Part.VERSION: _pairs(_version_facts(a), _version_facts(b)),
            Part.PARAMS: _pairs(a.measured.params, b.measured.params),
            Part.CODE: _pairs(_code(a), _code(b)),
            Part.ARTIFACT: _pairs(_artifact(a), _artifact(b)),
            Part.ENVIRONMENT: _pairs(_environment(a), _environment(b)),
            Part.REQUIREMENTS: _pairs(_requirements(a), _requirements(b)),
            Part.TAGS: _pairs(a.version.tags, b.version.tags, are_tags=True),
            Part.RUN_TAGS: _pairs(_run_tags(a), _run_tags(b), are_tags=True),
        },
        signature=compare_signatures(a.info, b.info, names=(str(first), str(second))),
        data=tuple(_data(stores, a, b)),
        notes=tuple(_notes(a, b)),
        unknown=tuple(_unknown(a)) + tuple(_unknown(b)),
    )


def _pairs(
    first: Mapping[str, str | None], second: Mapping[str, str | None], *, are_tags: bool = False
) -> tuple[Pair, ...]:
    return tuple(
        Pair(name=name, first=first.get(name), second=second.get(name), is_own=are_tags and is_own_tag(name))
        for name in all_names((first, second))
        if first.get(name) is not None or second.get(name) is not None
    )


def _metrics(a: ModelVersionView, b: ModelVersionView) -> tuple[MetricPair, ...]:
    differences = deltas(b.metrics, a.metrics)
    return tuple(
        MetricPair(
            name=name,
            first=a.metrics.get(name),
            second=b.metrics.get(name),
            delta=differences.get(name),
            direction=direction(name, differences.get(name)),
        )
        for name in all_names((a.metrics, b.metrics))
    )


def _version_facts(view: ModelVersionView) -> dict[str, str | None]:
    version, run = view.version, view.run
    return {
        text("stage"): version.stage.value,
        text("aliases"): ", ".join(version.aliases) or None,
        text("description"): version.description or None,
        text("trained by"): run.user if run else None,
        text("run"): (run.name or run.run_id) if run else version.run_id,
        text("experiment"): run.experiment if run else None,
        text("status of the run"): run.status.value if run else None,
        text("training started"): f"{run.started:%Y-%m-%d %H:%M:%S} UTC" if run and run.started else None,
        text("registered"): f"{version.created:%Y-%m-%d %H:%M:%S} UTC",
    }


def _code(view: ModelVersionView) -> dict[str, str | None]:
    names = {
        "commit": text("git commit"),
        "repository": text("repository"),
        "branch": text("branch"),
        "source": text("source"),
        "type": text("type of the source"),
        "entry_point": text("entry point"),
    }
    return {names[name]: masked(value) for name, value in code_of(view.run).items()}


def _artifact(view: ModelVersionView) -> dict[str, str | None]:
    made_with = view.info.made_with if view.info else {}
    return {
        text("format"): view.info.format if view.info else None,
        text("SHA-256 of the files"): view.sha256,
        text("size in bytes"): made_with.get("size_bytes"),
    }


def _environment(view: ModelVersionView) -> dict[str, str | None]:
    made_with = view.info.made_with if view.info else {}
    return {name: made_with.get(name) for name in ("python", "mlflow", "scikit-learn", "pyspark")}


def _requirements(view: ModelVersionView) -> dict[str, str | None]:
    required = pins(view.info.requirements) if view.info else {}
    return {name: pin or text("any version") for name, pin in required.items()}


def _run_tags(view: ModelVersionView) -> dict[str, str | None]:
    tags = view.run.tags if view.run else {}
    return {name: value for name, value in tags.items() if name not in _SHOWN_ELSEWHERE}


def _data(stores: Stores, a: ModelVersionView, b: ModelVersionView) -> Iterator[DataPair]:
    """Pair the data by table and use. A table that one version names several times is paired in the order of trust."""
    groups: dict[tuple[DataUse, str | None], tuple[list[DataView], list[DataView]]] = {}
    for place, view in enumerate((a, b)):
        for used in view.data:
            groups.setdefault((used.source.context, used.source.table), ([], []))[place].append(used)
    for (use, table), (first, second) in sorted(groups.items(), key=lambda group: group[0][0] is not DataUse.TRAINING):
        for left, right in zip_longest(first, second):
            yield DataPair(table=table, use=use, first=_side(stores, left), second=_side(stores, right))


def _side(stores: Stores, view: DataView | None) -> DataSide | None:
    if view is None:
        return None
    rows = None
    if view.source.resolved is not None and view.source.version is not None:
        with suppress(CoreError):  # the verdict of the view says what is lost
            rows = stores.engine.snapshot(view.source.resolved, version=view.source.version).rows
    return DataSide(view=view, rows=rows)


def _notes(a: ModelVersionView, b: ModelVersionView) -> Iterator[str]:
    """Say what a reader must know before comparing: other test rows, replaced data, KPIs of the run only."""
    if any(is_kpi(name) for name in a.metrics.keys() & b.metrics.keys()):
        first, second = _test_rows(a), _test_rows(b)
        keys = {"first": a.version.key, "second": b.version.key}
        if first is None and second is None:
            yield text("It is not known on which rows the KPIs of {first} and {second} were measured.", **keys)
        elif first != second:
            yield text(
                "{first} was tested on {first_rows}, {second} on {second_rows}: their KPIs do not compare. Compare "
                "them head to head on the same rows.",
                **keys,
                first_rows=first or text("unknown rows"),
                second_rows=second or text("unknown rows"),
            )
    for view in (a, b):
        for used in view.data:
            if used.is_other_data and used.identity is not None:
                yield text(
                    "{version} did not use the present {data}: {reason}",
                    version=view.version.key,
                    data=str(used.source),
                    reason=joined(used.identity.contradictions),
                )
        for note in view.measured.notes:
            yield text("{version}: {note}.", version=view.version.key, note=note)


def _test_rows(view: ModelVersionView) -> str | None:
    training = next((used.source for used in view.data if used.source.is_training), None)
    data = {"table": training.table, "version": training.version} if training else None
    return test_rows_of(data, view.measured.params)


def _unknown(view: ModelVersionView) -> Iterator[str]:
    for problem in (view.run_problem, view.info_problem):
        if problem:
            yield text("{version}: {problem}", version=view.version.key, problem=problem)
