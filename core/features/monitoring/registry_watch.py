"""Finds changes made outside ModelLedger: of aliases, runs, metrics, tags, artifacts and version numbers.

The registry is compared with the baseline in our own log and with our own decisions. `reconcile` compares the stages.
Where a model is not taken over yet, only a change of what an earlier inspection saw is a difference.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from core.audit.canonical_json import settled
from core.entities import Difference, ModelVersion, RequestStatus, Run, Stage
from core.features.lineage.claims import claimed_version
from core.features.monitoring.baseline import (
    Baseline,
    aliases_of,
    artifact_sha256,
    evidence_tags,
    extend_baseline,
    read_baseline,
    version_identity,
)
from core.features.runs.version_metrics import VersionMetrics, read_version_metrics
from core.features.stores import Stores
from core.features.takeover.acceptances import find_untaken
from core.texts import text

RUN_GONE = "run deleted"
NUMBER_GONE = "version number missing"
REPLACED = "version replaced"
METRIC = "metric changed"
DATA_VERSION_CHANGED = "data stamp changed"
TAG = "tag changed"
ARTIFACT = "artifact replaced"
ARTIFACT_MISSING = "artifact missing"
SERVING_ALIAS = "serving alias moved"
ALIAS = "alias moved"

# Artifacts are downloaded whole. An inspection hashes this many beside those in Production and Staging.
_SAMPLE_SIZE = 25
_IDENTITY = {"run_id": "run", "source": "source", "created": "created"}
_DATA_TAGS = ("delta.table", "delta.version")
# A new tag is reported only where its name says that it is evidence.
_EVIDENCE_PREFIXES = (
    "delta.",
    "mlflow.source.",
    "modelledger.",
    "sparkDatasourceInfo",
    "model.name",
    "recipe",
    "mlflow.user",
)


def find_outside_changes(stores: Stores) -> tuple[Difference, ...]:
    """Compare the registry with the baseline, after adding versions that are new to it.

    Makes a constant number of registry calls, and one download for each artifact that is hashed.

    Raises:
        RegistryUnavailable: the registry does not answer.
    """
    # Edited tags change no time by which a cache would notice them.
    versions = stores.models.versions(fresh=True)
    before = read_baseline(stores)
    findings = stores.findings.list(include_closed=True)
    reported = {finding.subject for finding in findings if finding.kind in (ARTIFACT, ARTIFACT_MISSING)}
    untaken = frozenset(model.model for model in find_untaken(stores, versions))
    # The files of models that are not taken over are recorded when somebody accepts them.
    ours = [v for v in versions if v.model not in untaken or str(v.key) in before.trained]
    closely = _choose(ours, before, reported)
    ids = [v.run_id for v in versions] + [facts.get("run_id") for facts in before.versions.values()]
    runs = stores.runs.get_many([run_id for run_id in ids if run_id], fresh=True)
    measured = read_version_metrics(stores, versions, runs, fresh=True)
    baseline = extend_baseline(stores, versions, runs, measured, before, closely=closely, untaken=untaken)
    return (
        *_gaps(versions, baseline),
        *_aliases(stores, [version for version in versions if version.model not in untaken], baseline),
        *(
            difference
            for version in versions
            for difference in _compare_version(
                stores, version, runs.get(version.run_id or ""), measured[version.key], baseline
            )
        ),
        *_lost_runs(versions, runs, baseline),
        *_artifacts(stores, [version for version in ours if str(version.key) in closely], baseline),
    )


def _choose(versions: Sequence[ModelVersion], before: Baseline, reported: set[str]) -> set[str]:
    """Choose the artifacts to hash: in Production or Staging, reported before, never hashed, and a random sample."""
    always = {str(v.key) for v in versions if v.stage in (Stage.PRODUCTION, Stage.STAGING)} | reported
    others = [version for version in versions if str(version.key) not in always]
    never = [str(version.key) for version in others if "artifact" not in before.of(version)]
    rest = [str(version.key) for version in others if "artifact" in before.of(version)]
    chosen = never[:_SAMPLE_SIZE]
    # Random, so that nobody can predict which artifacts are left out.
    chosen += random.SystemRandom().sample(rest, min(len(rest), _SAMPLE_SIZE - len(chosen)))
    return always | set(chosen)


def _gaps(versions: Iterable[ModelVersion], baseline: Baseline) -> Iterator[Difference]:
    """Report deleted version numbers: known from the log, or missing below the highest number."""
    numbers: dict[str, set[int]] = {}
    for version in versions:
        numbers.setdefault(version.model, set()).add(version.version)
    for name in baseline.versions:
        model, _, number_text = name.rpartition("/")
        if int(number_text) not in numbers.setdefault(model, set()):
            yield _number_gone(model, int(number_text), text("The version is known from the audit log."))
    for model, existing in numbers.items():
        for number in range(1, max(existing, default=0)):
            is_unknown = number not in existing and f"{model}/{number}" not in baseline.versions
            if is_unknown and number > baseline.found_up_to.get(model, 0):
                yield _number_gone(model, number, text("Higher version numbers exist."))


def _number_gone(model: str, number: int, source: str) -> Difference:
    return _difference(
        NUMBER_GONE,
        f"{model}/{number}",
        text("a registered version"),
        text("not in the registry"),
        text("The version was deleted from the registry. {source}", source=source),
    )


def _aliases(stores: Stores, versions: Sequence[ModelVersion], baseline: Baseline) -> Iterator[Difference]:
    """Compare the aliases of the stages with the decisions, and other aliases with their first recorded version.

    Where a model's state as found was accepted and nothing was decided since, all aliases are compared with that state.
    """
    approved = stores.decisions.list(statuses=(RequestStatus.APPROVED,))
    decided = {request.model: request.stages for request in sorted(approved, key=lambda r: str(r.decided_at))}
    unfinished_models = {request.model for request in stores.decisions.list(statuses=(RequestStatus.UNFINISHED,))}
    for model, current in aliases_of(versions).items():
        first = baseline.aliases.get(model, current)
        stage_of = {alias: stage for stage, alias in stores.models.stage_aliases(model).items()}
        for alias in sorted(current.keys() | first.keys() | stage_of.keys()):
            stage = stage_of.get(alias)
            if stage is None or (model in baseline.found_up_to and model not in decided):
                wanted = first.get(alias)
            elif model in unfinished_models or stores.models.is_stage_an_alias:
                continue  # reported as an unfinished decision, or as a stage that differs
            else:
                stages = decided.get(model, {})
                wanted = max((int(number) for number, name in stages.items() if name == stage.value), default=None)
            if current.get(alias) != wanted:
                yield _difference(
                    ALIAS if stage is None else SERVING_ALIAS,
                    model,
                    f"{alias}: {_version_text(wanted)}",
                    f"{alias}: {_version_text(current.get(alias))}",
                    text(
                        "The alias was moved outside ModelLedger. Programs that load models:/{model}@{alias} get that "
                        "version.",
                        model=model,
                        alias=alias,
                    ),
                )


def _version_text(version: int | None) -> str:
    return text("no version") if version is None else text("version {version}", version=version)


def _compare_version(
    stores: Stores, version: ModelVersion, run: Run | None, measured: VersionMetrics, baseline: Baseline
) -> Iterator[Difference]:
    facts, subject = baseline.of(version), str(version.key)
    yield from _replaced(stores, version, facts)
    if "marks" in facts:
        found = evidence_tags(stores, version.tags)
        yield from _compare_tags(subject, baseline.marks_of(version, found), found, subject)
    if run is None or run.is_deleted:
        if version.run_id and not _was_lost(facts, run):
            yield _run_gone(subject, version.run_id, run)
        if run is None:
            return
    yield from dict.fromkeys((*_metrics(subject, run, facts), *_model_metrics(subject, measured, facts)))
    data = claimed_version(run)
    if "data" in facts and str(data or "") != str(facts["data"] or ""):
        yield _difference(
            DATA_VERSION_CHANGED,
            subject,
            facts["data"] or text("no data version"),
            str(data) if data else text("no data version"),
            text("Run {run_id} now records another data version than the one it was trained on.", run_id=run.run_id),
        )
    if "tags" in facts:
        # The data version was compared above, from whichever claim.
        before = {name: value for name, value in facts["tags"].items() if name not in _DATA_TAGS}
        after = {name: value for name, value in evidence_tags(stores, run.tags).items() if name not in _DATA_TAGS}
        yield from _compare_tags(subject, before, after, text("run {run_id}", run_id=run.run_id))


def _was_lost(facts: Mapping[str, Any], run: Run | None) -> bool:
    """Whether the run was lost already when the version was found; a run that was only deleted can still be erased."""
    return facts.get("lost") == "missing" or (facts.get("lost") == "deleted" and run is not None)


def _replaced(stores: Stores, version: ModelVersion, facts: Mapping[str, Any]) -> Iterator[Difference]:
    """A known number names another version: the model was deleted and created again, or its row was altered."""
    current = version_identity(stores, version)
    differing = [name for name, value in current.items() if name in facts and facts[name] != value]
    if differing:
        yield _difference(
            REPLACED,
            str(version.key),
            ", ".join(f"{_IDENTITY[name]} {facts[name] or 'none'}" for name in differing),
            ", ".join(f"{_IDENTITY[name]} {current[name] or 'none'}" for name in differing),
            text("Another version has this number now. Earlier decisions were made on the version that had it before."),
        )


def _metrics(subject: str, run: Run, facts: Mapping[str, Any]) -> Iterator[Difference]:
    detail = text(
        "Run {run_id} shows another value than at the end of its training or at its first inspection.",
        run_id=run.run_id,
    )
    recorded: Mapping[str, Any] = facts.get("metrics", run.metrics)
    for name in sorted(recorded.keys() | run.metrics.keys()):
        before = settled(recorded[name]) if name in recorded else None
        after = settled(run.metrics[name]) if name in run.metrics else None
        if after != before:
            yield _difference(METRIC, subject, _metric_text(name, before), _metric_text(name, after), detail)
    for name, changed_at in (facts.get("late") or {}).items():
        detail = text(
            "Run {run_id} had ended before. The metric history in MLflow shows the value of {metric} at that time.",
            run_id=run.run_id,
            metric=name,
        )
        expected = text("{metric} as it was when the run ended", metric=name)
        yield _difference(METRIC, subject, expected, text("changed at {time}", time=changed_at), detail)


def _model_metrics(subject: str, measured: VersionMetrics, facts: Mapping[str, Any]) -> Iterator[Difference]:
    """Report changed metrics of the logged model. A metric that a later evaluation added is not a change."""
    detail = text("The logged model of {version} shows another value than at its first inspection.", version=subject)
    for name, before in sorted((facts.get("model_metrics") or {}).items()):
        after = settled(measured.values[name]) if name in measured.values else None
        if after != before:
            yield _difference(METRIC, subject, _metric_text(name, before), _metric_text(name, after), detail)


def _metric_text(name: str, value: object) -> str:
    return text("no {metric}", metric=name) if value is None else f"{name} {value}"


def _compare_tags(
    subject: str, before: Mapping[str, str], after: Mapping[str, str], owner: str
) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        if after.get(name) == before.get(name) or (name not in before and not name.startswith(_EVIDENCE_PREFIXES)):
            continue
        yield _difference(
            DATA_VERSION_CHANGED if name.startswith("delta.") else TAG,
            subject,
            f"{name}: {before[name]}" if name in before else text("no tag {name}", name=name),
            f"{name}: {after[name]}" if name in after else text("no tag {name}", name=name),
            text("The tag {name} of {owner} was changed outside ModelLedger.", name=name, owner=owner),
        )


def _lost_runs(versions: Iterable[ModelVersion], runs: Mapping[str, Run], baseline: Baseline) -> Iterator[Difference]:
    """Deleted runs of versions that were deleted themselves."""
    existing = {str(version.key) for version in versions}
    for name, facts in baseline.versions.items():
        run_id = facts.get("run_id")
        run = runs.get(run_id or "")
        is_lost = run is None or run.is_deleted
        if name not in existing and run_id and is_lost and not _was_lost(facts, run):
            yield _run_gone(name, run_id, run)


def _run_gone(subject: str, run_id: str, run: Run | None) -> Difference:
    return _difference(
        RUN_GONE,
        subject,
        text("run {run_id}", run_id=run_id),
        text("deleted") if run else text("never existed, or deleted for good"),
        text("The run of the version was deleted, and with it the record of its training."),
    )


def _artifacts(stores: Stores, versions: Iterable[ModelVersion], baseline: Baseline) -> Iterator[Difference]:
    """Compare the artifacts with the hash that was approved, else with the first recorded hash."""
    for version in versions:
        facts = baseline.of(version)
        recorded = facts.get("artifact")
        if "artifact" not in facts or (recorded is None and baseline.is_as_found(version.key)):
            continue  # its run has not ended, or its files were never seen
        sha256, problem = artifact_sha256(stores, version)
        if sha256 is not None and sha256 == recorded:
            continue
        if sha256 is None:
            yield _difference(
                ARTIFACT_MISSING,
                str(version.key),
                f"SHA-256 {recorded}" if recorded else text("the files of the model"),
                text("no artifact that can be read"),
                problem,
            )
        else:
            yield _difference(ARTIFACT, str(version.key), f"SHA-256 {recorded}", f"SHA-256 {sha256}", _whose(facts))


def _whose(facts: Mapping[str, Any]) -> str:
    if "approved_by" in facts:
        return text("The model's files are not those that {actor} approved.", actor=facts["approved_by"])
    return text("The model's files are not those of the first inspection.")


def _difference(kind: str, subject: str, expected: str, found: str, detail: str) -> Difference:
    return Difference(kind=kind, subject=subject, expected=expected, found=found, detail=detail)
