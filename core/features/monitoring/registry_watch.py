"""Inspects what may have changed behind the app's back: aliases, runs, metrics, tags, artifacts, numbers of versions.

What was true is read from our own log (what a training logged, what was seen first) and our own decisions (what was
approved), never from the registry that is looked at. `reconcile` compares the stages.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from core.audit.canonical_json import settled
from core.entities import Difference, ModelVersion, RequestStatus, Run, Stage
from core.features.monitoring import baseline
from core.features.monitoring.baseline import Baseline
from core.features.stores import Stores

RUN_GONE = "run deleted"
NUMBER_GONE = "version number missing"
REPLACED = "version replaced"
METRIC = "metric changed"
DATA_VERSION_CHANGED = "data stamp changed"
TAG = "tag changed"
ARTIFACT = "artifact replaced"
SERVING_ALIAS = "serving alias moved"
ALIAS = "alias moved"

# Aliases that follow the stage, in either kind of registry.
_OF_STAGE = {"production": Stage.PRODUCTION, "staging": Stage.STAGING}
# Artifacts are fetched whole: so many beside those that serve are looked at in one pass, others the next time.
_CLOSELY = 25
_IDENTITY = {"run_id": "run", "source": "source", "created": "created"}
_DATA_TAGS = ("delta.table", "delta.version")
# A tag that nobody noted before is told only where its name says that it is evidence.
_EVIDENCE = ("delta.", "mlflow.source.", "modelledger.", "sparkDatasourceInfo", "model.name", "recipe", "mlflow.user")


def find_outside_changes(stores: Stores) -> tuple[Difference, ...]:
    """Compares, after noting what was never seen before. Raises RegistryUnavailable.

    A constant number of registry calls, and one download for each artifact that is looked at.
    """
    versions = stores.models.versions()
    before = baseline.read_baseline(stores)
    told = {one.subject for one in stores.findings.list(include_closed=True) if one.kind == ARTIFACT}
    closely = _chosen(versions, before, told)
    ids = [v.run_id for v in versions] + [facts.get("run_id") for facts in before.versions.values()]
    runs = stores.runs.get_many([run_id for run_id in ids if run_id], fresh=True)
    known = baseline.extend_baseline(stores, versions, runs, before, closely)
    return (
        *_gaps(versions, known),
        *_aliases(stores, versions, known),
        *(
            found
            for version in versions
            for found in _of_version(stores, version, runs.get(version.run_id or ""), known)
        ),
        *_lost_runs(versions, runs, known),
        *_artifacts(stores, [version for version in versions if str(version.key) in closely], known),
    )


def _chosen(versions: Sequence[ModelVersion], before: Baseline, told: set[str]) -> set[str]:
    """Whose artifact is looked at: what serves or is about to, what was told of, what was never looked at, and some."""
    always = {str(v.key) for v in versions if v.stage in (Stage.PRODUCTION, Stage.STAGING)} | told
    others = [version for version in versions if str(version.key) not in always]
    never = [str(version.key) for version in others if "artifact" not in before.of(version)]
    rest = [str(version.key) for version in others if "artifact" in before.of(version)]
    chosen = never[:_CLOSELY]
    # By chance, so that nobody can tell which are left out this time.
    chosen += random.SystemRandom().sample(rest, min(len(rest), _CLOSELY - len(chosen)))
    return always | set(chosen)


def _gaps(versions: Iterable[ModelVersion], known: Baseline) -> Iterator[Difference]:
    """A number below the highest that is not there was deleted; the highest of all is known from our log alone."""
    numbers: dict[str, set[int]] = {}
    for version in versions:
        numbers.setdefault(version.model, set()).add(version.version)
    for name in known.versions:
        model, _, text = name.rpartition("/")
        if int(text) not in numbers.setdefault(model, set()):
            yield _gone(model, int(text), "our log")
    for model, there in numbers.items():
        for number in range(1, max(there, default=0)):
            if number not in there and f"{model}/{number}" not in known.versions:
                yield _gone(model, number, "the numbers after it")


def _gone(model: str, number: int, known_from: str) -> Difference:
    return _difference(
        NUMBER_GONE,
        f"{model}/{number}",
        "a registered version",
        "not in the registry",
        f"The version was deleted from the registry; it is known from {known_from}.",
    )


def _aliases(stores: Stores, versions: Sequence[ModelVersion], known: Baseline) -> Iterator[Difference]:
    """`production` and `staging` against the decisions, others against where they pointed when they were seen first."""
    approved = stores.decisions.list(statuses=(RequestStatus.APPROVED,))
    decided = {request.model: request.stages for request in sorted(approved, key=lambda r: str(r.decided_at))}
    busy = {request.model for request in stores.decisions.list(statuses=(RequestStatus.UNFINISHED,))}
    for model, held in baseline.aliases_of(versions).items():
        first = known.aliases.get(model, held)
        for alias in sorted(held.keys() | first.keys() | _OF_STAGE.keys()):
            stage = _OF_STAGE.get(alias)
            if stage is None:
                wanted = first.get(alias)
            elif model in busy or stores.models.is_stage_an_alias:
                continue  # told as an unfinished decision, or as a stage that differs
            else:
                named = decided.get(model, {})
                wanted = max((int(number) for number, word in named.items() if word == stage.value), default=None)
            if held.get(alias) != wanted:
                yield _difference(
                    ALIAS if stage is None else SERVING_ALIAS,
                    model,
                    f"{alias}: {_numbered(wanted)}",
                    f"{alias}: {_numbered(held.get(alias))}",
                    f"The alias was moved outside ModelLedger; who loads models:/{model}@{alias} gets that.",
                )


def _numbered(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"


def _of_version(stores: Stores, version: ModelVersion, run: Run | None, known: Baseline) -> Iterator[Difference]:
    facts, subject = known.of(version), str(version.key)
    yield from _replaced(stores, version, facts)
    if "marks" in facts:
        yield from _tags(subject, facts["marks"], baseline.evidence_tags(stores, version.tags), f"of {subject}")
    if run is None or run.is_deleted:
        if version.run_id:
            yield _run_gone(subject, version.run_id, run)
        if run is None:
            return
    yield from _metrics(subject, run, facts)
    if "data" in facts and str(run.data or "") != str(facts["data"] or ""):
        yield _difference(
            DATA_VERSION_CHANGED,
            subject,
            facts["data"] or "no data version",
            str(run.data or "no data version"),
            f"Run {run.run_id} names another data version than the one that it was known to be trained on.",
        )
    if "tags" in facts:
        # The data version was compared above, whatever it was told by.
        then = {name: value for name, value in facts["tags"].items() if name not in _DATA_TAGS}
        now = {
            name: value for name, value in baseline.evidence_tags(stores, run.tags).items() if name not in _DATA_TAGS
        }
        yield from _tags(subject, then, now, f"of run {run.run_id}")


def _replaced(stores: Stores, version: ModelVersion, facts: Mapping[str, Any]) -> Iterator[Difference]:
    """Another version under a number that was known: its model was deleted and made again, or its row altered."""
    now = baseline.version_identity(stores, version)
    differing = [name for name, value in now.items() if name in facts and facts[name] != value]
    if differing:
        yield _difference(
            REPLACED,
            str(version.key),
            ", ".join(f"{_IDENTITY[name]} {facts[name] or 'none'}" for name in differing),
            ", ".join(f"{_IDENTITY[name]} {now[name] or 'none'}" for name in differing),
            "Another version stands under the number that was known: what was decided on it was not decided on this "
            "one.",
        )


def _metrics(subject: str, run: Run, facts: Mapping[str, Any]) -> Iterator[Difference]:
    detail = f"Run {run.run_id} shows another value than when its training ended or it was seen first."
    then: Mapping[str, Any] = facts.get("metrics", run.metrics)
    for name in sorted(then.keys() | run.metrics.keys()):
        was = settled(then[name]) if name in then else None
        now = settled(run.metrics[name]) if name in run.metrics else None
        if now != was:
            yield _difference(METRIC, subject, _measured(name, was), _measured(name, now), detail)
    for name, moment in (facts.get("late") or {}).items():
        why = f"Run {run.run_id} had ended before; what {name} was then stands in its metric history in MLflow."
        yield _difference(METRIC, subject, f"{name} as it was when the run ended", f"changed at {moment}", why)


def _measured(name: str, value: object) -> str:
    return f"no {name}" if value is None else f"{name} {value}"


def _tags(subject: str, then: Mapping[str, str], now: Mapping[str, str], whose: str) -> Iterator[Difference]:
    for name in sorted(then.keys() | now.keys()):
        if now.get(name) == then.get(name) or (name not in then and not name.startswith(_EVIDENCE)):
            continue
        yield _difference(
            DATA_VERSION_CHANGED if name.startswith("delta.") else TAG,
            subject,
            f"{name}: {then[name]}" if name in then else f"no tag {name}",
            f"{name}: {now[name]}" if name in now else f"no tag {name}",
            f"The tag {name} {whose} was changed outside ModelLedger.",
        )


def _lost_runs(versions: Iterable[ModelVersion], runs: Mapping[str, Run], known: Baseline) -> Iterator[Difference]:
    """Runs of versions that are gone themselves."""
    there = {str(version.key) for version in versions}
    for name, facts in known.versions.items():
        run_id = facts.get("run_id")
        run = runs.get(run_id or "")
        if name not in there and run_id and (run is None or run.is_deleted):
            yield _run_gone(name, run_id, run)


def _run_gone(subject: str, run_id: str, run: Run | None) -> Difference:
    return _difference(
        RUN_GONE,
        subject,
        f"run {run_id}",
        "deleted" if run else "never existed, or deleted for good",
        "The run behind the version is gone, and with it how the version was made.",
    )


def _artifacts(stores: Stores, versions: Iterable[ModelVersion], known: Baseline) -> Iterator[Difference]:
    """Artifacts against the hash that was approved, else against the first that was seen."""
    for version in versions:
        facts = known.of(version)
        if "artifact" not in facts:
            continue  # its run has not ended
        found, why = baseline.artifact_sha256(stores, version)
        if found is not None and found == facts["artifact"]:
            continue
        whose = f"that {facts['approved_by']} approved" if "approved_by" in facts else "that were seen first"
        yield _difference(
            ARTIFACT,
            str(version.key),
            f"SHA-256 {facts['artifact']}" if facts["artifact"] else "an artifact",
            f"SHA-256 {found}" if found else "no artifact that can be read",
            why or f"The model's files are not those {whose}.",
        )


def _difference(kind: str, subject: str, expected: str, found: str, detail: str) -> Difference:
    return Difference(kind=kind, subject=subject, expected=expected, found=found, detail=detail)
