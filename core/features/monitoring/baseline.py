"""The baseline: what our log knows of each model version, from its training or from the first inspection that saw it.

Later inspections compare the registry with the baseline. The baseline is in the audit log, where a change is detected.
Where a person accepted a model's state as found, the baseline of the model begins with the acceptance.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.access.permissions import Action
from core.audit.canonical_json import settled
from core.audit.findings import Transaction
from core.entities import (
    Actor,
    ModelVersion,
    ModelVersionKey,
    Outcome,
    PromotionRequest,
    RequestStatus,
    Role,
    Run,
    RunStatus,
)
from core.errors import CoreError, StorageUnavailable, Unavailable
from core.features.lineage.claims import claimed_version
from core.features.monitoring.own_edits import OwnEdits
from core.features.runs.runs import late_metrics
from core.features.runs.version_metrics import VersionMetrics
from core.features.stores import Stores
from core.features.takeover.acceptances import acceptance_of
from core.learning.artifact_files import folder_sha256

# The actor of an inspection. It may read and open findings, nothing else.
INSPECTOR = Actor(name="modelledger", roles=frozenset({Role.AUDITOR}), channel="worker")
SUBJECT = "registry"

_ENDED = (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)
# Notes and names for people, and the stage: they change for good reasons, and the stage is compared elsewhere.
_NOT_EVIDENCE = {"mlflow.note.content", "mlflow.runName", "mlflow.log-model.history", "stage"}
_MAX_TAG_LENGTH = 300
_VERSIONS_PER_EVENT = 100


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The recorded facts by model version, and by model the version of each alias.

    Facts of the version: run_id, source, created, stage, marks (its tags), artifact (SHA-256), approved_by. Facts of
    its run: data, metrics, tags, late (metrics changed after the end of the run), lost (the run was missing or deleted
    when the version was found). Facts of its logged model, where it has one: model_metrics, the metrics of the version
    itself. A fact that was never recorded is missing, which differs from None.

    *marks* are the tags as ModelLedger last edited them. *begun* are values of tags that an edit may have set whose
    success was not recorded. *trained* are the versions that ModelLedger trained. *found_up_to* gives, for each model
    that ModelLedger did not create, the highest version number with which the model was found.
    """

    versions: Mapping[str, Mapping[str, Any]]
    aliases: Mapping[str, Mapping[str, int]]
    trained: frozenset[str] = frozenset()
    found_up_to: Mapping[str, int] = field(default_factory=dict)
    begun: Mapping[str, Mapping[str, set[str | None]]] = field(default_factory=dict)

    def of(self, version: ModelVersion) -> Mapping[str, Any]:
        return self.versions.get(str(version.key), {})

    def marks_of(self, version: ModelVersion, found: Mapping[str, str]) -> dict[str, str]:
        """Return the tags that *version* should have. A value of *found* that an edit may have set is right."""
        marks = dict(self.of(version)["marks"])
        for tag, values in self.begun.get(str(version.key), {}).items():
            if tag in found and found[tag] in values:
                marks[tag] = found[tag]
            elif tag not in found and None in values:
                marks.pop(tag, None)
        return marks

    def is_as_found(self, key: ModelVersionKey) -> bool:
        """Whether the version was there before ModelLedger: what was lost before it was seen is not a finding."""
        return str(key) not in self.trained and key.version <= self.found_up_to.get(key.model, 0)


def read_baseline(stores: Stores) -> Baseline:
    """Read the baseline from the log. The first record of a fact counts; for artifacts, the last approval.

    An acceptance of a model replaces everything that was recorded of the model before.
    """
    searches: dict[Action, str | None] = {
        Action.RUN_TRAIN: None,
        Action.RECONCILE_READ: SUBJECT,
        Action.REGISTRY_ACCEPT: None,
    }
    events = [
        event
        for action, subject in searches.items()
        for event in stores.audit.search(
            action=action.value, subject=subject, outcome=Outcome.SUCCESS.value, limit=None
        )
    ]
    versions: dict[str, dict[str, Any]] = {}
    aliases: dict[str, Mapping[str, int]] = {}
    trained: set[str] = set()
    found_up_to: dict[str, int] = {}
    edits = OwnEdits()
    events += stores.audit.search(action=Action.MODEL_EDIT.value, limit=None)
    for event in sorted(events, key=lambda event: event.sequence):
        if event.action == Action.MODEL_EDIT.value:
            edits.add(event)
            continue
        if event.action == Action.REGISTRY_ACCEPT.value:
            acceptance = acceptance_of(event)
            if acceptance is None:
                continue  # the event of the whole operation
            for name in [name for name in versions if _model_of(name) == acceptance.model]:
                del versions[name]
            edits.forget(acceptance.model)
            aliases[acceptance.model] = acceptance.aliases
            found_up_to[acceptance.model] = max(acceptance.stages, default=0)
            continue
        if event.action == Action.RUN_TRAIN.value:
            recorded = _training_facts(event.after)
            trained |= recorded.keys()
        else:
            recorded = event.after.get("versions") or {}
            _raise_to(found_up_to, event.after.get("found_up_to") or {})
        for name, facts in recorded.items():
            versions[name] = _merged(versions.get(name, {}), facts)
        for model, versions_by_alias in (event.after.get("aliases") or {}).items():
            aliases.setdefault(model, versions_by_alias)
    requests = sorted(stores.decisions.list(), key=lambda r: (r.status is RequestStatus.APPROVED, r.requested_at))
    first_decisions: dict[str, PromotionRequest] = {}
    for request in requests:
        if request.status is RequestStatus.APPROVED and f"{request.model}/1" not in trained:
            first_decisions.setdefault(request.model, request)
        sha256 = (request.evidence.get("candidate") or {}).get("artifact", {}).get("sha256")
        known = versions.get(str(request.key))
        if known is None or not sha256:
            continue
        if request.status is RequestStatus.APPROVED:
            known["artifact"], known["approved_by"] = sha256, request.decided_by
        else:
            known.setdefault("artifact", sha256)
    _raise_to(found_up_to, {model: max(map(int, first.stages), default=0) for model, first in first_decisions.items()})
    for name, tags in edits.done.items():
        if "marks" in versions.get(name, {}):
            versions[name]["marks"] = _edited(stores, versions[name]["marks"], tags)
    begun = {
        name: {tag: _forms(stores, tag, values) for tag, values in tags.items()} for name, tags in edits.begun.items()
    }
    return Baseline(
        versions=versions, aliases=aliases, trained=frozenset(trained), found_up_to=found_up_to, begun=begun
    )


def extend_baseline(
    stores: Stores,
    versions: Sequence[ModelVersion],
    runs: Mapping[str, Run],
    measured: Mapping[ModelVersionKey, VersionMetrics],
    baseline: Baseline,
    *,
    closely: Iterable[str],
    untaken: Iterable[str] = (),
) -> Baseline:
    """Record the facts that are missing in *baseline*; for the versions named in *closely* also the artifact.

    The models of *untaken* are recorded as found. A version whose run has not ended is left for a later inspection.
    """
    with_artifact, as_found_models = set(closely), set(untaken)
    new: dict[str, dict[str, Any]] = {}
    for version in versions:
        run, known, name = runs.get(version.run_id or ""), baseline.of(version), str(version.key)
        is_as_found = baseline.is_as_found(version.key) or (
            version.model in as_found_models and name not in baseline.trained
        )
        # A run that is lost after the first sight is a finding.
        facts = version_facts(stores, version, run, measured[version.key], as_found=is_as_found and not known)
        if facts is None:
            continue
        if name in with_artifact and known.get("artifact") is None:
            facts["artifact"] = _first_sha256(stores, version, is_as_found=is_as_found)
            if run is not None and "metrics" not in known and not is_as_found:
                facts["late"] = _late_metrics(stores, run)
        missing = {
            fact: value
            for fact, value in facts.items()
            if fact not in known or (fact == "artifact" and value is not None and known[fact] is None)
        }
        if missing:
            new[name] = missing
    aliases = {
        model: by_alias
        for model, by_alias in aliases_of(versions).items()
        if model not in baseline.aliases and model not in as_found_models
    }
    highest: dict[str, int] = {}
    _raise_to(highest, {v.model: v.version for v in reversed(versions) if v.model in as_found_models})
    found = {model: number for model, number in highest.items() if number > baseline.found_up_to.get(model, 0)}
    if not new and not aliases and not found:
        return baseline
    record_facts(stores, new, aliases=aliases, found_up_to=found)
    return read_baseline(stores)


def version_facts(
    stores: Stores, version: ModelVersion, run: Run | None, measured: VersionMetrics, *, as_found: bool
) -> dict[str, Any] | None:
    """Return the facts of a version without its artifact, as the log keeps them. None while its run has not ended.

    *as_found*: a run that is missing or deleted is a fact, too.
    """
    if run is not None and run.status not in _ENDED:
        return None
    facts: dict[str, Any] = {**version_identity(stores, version), "stage": version.stage.value}
    facts["marks"] = evidence_tags(stores, version.tags)
    if run is not None:
        data = claimed_version(run)
        facts |= {
            "data": str(data) if data else None,
            "metrics": settled(dict(run.metrics)),
            "tags": evidence_tags(stores, run.tags),
        }
    if measured.logged_model is not None:
        facts["model_metrics"] = settled(dict(measured.values))
    if as_found and version.run_id and (run is None or run.is_deleted):
        facts["lost"] = "missing" if run is None else "deleted"
    return facts


def aliases_of(versions: Iterable[ModelVersion]) -> dict[str, dict[str, int]]:
    """Return, by model, the version number of each alias."""
    aliases: dict[str, dict[str, int]] = {}
    for version in versions:
        aliases.setdefault(version.model, {}).update(dict.fromkeys(version.aliases, version.version))
    return aliases


def evidence_tags(stores: Stores, tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that count as evidence, as the log keeps them. A long value becomes its SHA-256."""
    return {
        name: value if len(value) <= _MAX_TAG_LENGTH else f"SHA-256 {hashlib.sha256(value.encode()).hexdigest()}"
        for name, value in sorted(settled(stores.audit.redacted(dict(tags))).items())
        if name not in _NOT_EVIDENCE
    }


def version_identity(stores: Stores, version: ModelVersion) -> dict[str, str | None]:
    """Return the facts that distinguish a version from a later one under the same number, as the log keeps them."""
    return {
        "run_id": version.run_id,
        "source": settled(stores.audit.redacted(version.source)),
        "created": settled(version.created),
    }


def artifact_sha256(stores: Stores, version: ModelVersion) -> tuple[str | None, str]:
    """Return the SHA-256 over the artifact's files, or None and the reason.

    Raises:
        Unavailable: an outage says nothing about the artifact.
    """
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        try:
            return folder_sha256(stores.models.download(version.key, Path(folder))), ""
        except Unavailable:
            raise
        except CoreError as error:
            return None, str(error)


def _training_facts(after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    if not after.get("model"):
        return {}
    return {str(after["model"]): {name: after[name] for name in ("run_id", "data", "metrics") if name in after}}


def _late_metrics(stores: Stores, run: Run) -> dict[str, str]:
    """The metrics that were changed after the end of the run and before the first inspection, with the time."""
    changed_at = late_metrics(stores, run, run.metrics)
    return {name: f"{time:%Y-%m-%d %H:%M:%S} UTC" for name, time in sorted(changed_at.items())}


def _first_sha256(stores: Stores, version: ModelVersion, *, is_as_found: bool) -> str | None:
    try:
        return artifact_sha256(stores, version)[0]
    except StorageUnavailable:
        if is_as_found:
            return None  # the registry was found with a store that cannot be read here
        raise


def record_facts(
    stores: Stores,
    versions: Mapping[str, Mapping[str, Any]],
    *,
    aliases: Mapping[str, Mapping[str, int]] | None = None,
    found_up_to: Mapping[str, int] | None = None,
    reason: str = "recorded at first sight; later inspections compare with these facts",
    within: Transaction | None = None,
) -> None:
    """Append facts to the log, in several events where there are many. *within* is a caller's transaction."""
    names = list(versions)
    afters: list[dict[str, Any]] = [
        {"versions": {name: dict(versions[name]) for name in names[start : start + _VERSIONS_PER_EVENT]}, "aliases": {}}
        for start in range(0, len(names), _VERSIONS_PER_EVENT)
    ]
    if aliases or found_up_to:
        afters.append(
            {"versions": {}, "aliases": dict(aliases or {})}
            | ({"found_up_to": dict(found_up_to)} if found_up_to else {})
        )
    with nullcontext(within) if within is not None else stores.audit.transaction() as connection:
        for after in afters:
            stores.audit.append_within(
                connection, INSPECTOR, Action.RECONCILE_READ.value, SUBJECT, Outcome.SUCCESS, reason=reason, after=after
            )


def _merged(known: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The first record of a fact counts. A hash is added where the files could not be read before."""
    merged = {**facts, **known}
    if merged.get("artifact") is None and facts.get("artifact") is not None:
        merged["artifact"] = facts["artifact"]
    return merged


def _raise_to(highest: dict[str, int], numbers: Mapping[str, int]) -> None:
    for model, number in numbers.items():
        highest[model] = max(highest.get(model, 0), number)


def _edited(stores: Stores, marks: Mapping[str, str], tags: Mapping[str, str | None]) -> dict[str, str]:
    """Return the recorded *marks* with the *tags* that were edited in ModelLedger; None removes one."""
    present = {name: value for name, value in tags.items() if value is not None}
    return {name: value for name, value in marks.items() if name not in tags} | evidence_tags(stores, present)


def _forms(stores: Stores, tag: str, values: Iterable[str | None]) -> set[str | None]:
    """Return *values* of a tag in the form in which tags are compared."""
    return {None if value is None else evidence_tags(stores, {tag: value}).get(tag) for value in values}


def _model_of(name: str) -> str:
    return name.rpartition("/")[0]
