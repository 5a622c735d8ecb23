"""Accepts the present state of a registry as found: stages, aliases, files, metrics and tags become the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from core.access.permissions import Action
from core.audit.canonical_json import settled
from core.entities import Actor, Job, ModelVersion, Outcome, Run, Stage
from core.errors import AlreadyDecided, ModelNotFound, StorageUnavailable
from core.features.lineage.claims import claimed_version
from core.features.monitoring.baseline import SUBJECT, aliases_of, artifact_sha256, record_facts, version_facts
from core.features.promotion.reason import require_reason
from core.features.runs.version_metrics import VersionMetrics, read_version_metrics
from core.features.stores import Stores
from core.features.takeover.acceptances import find_untaken, logged_name
from core.jobs.progress import Progress, Silent
from core.texts import text

JOB_KIND = "accept"
_HASHED_STAGES = (Stage.PRODUCTION, Stage.STAGING)


@dataclass(frozen=True, kw_only=True)
class AcceptedModel:
    """What was accepted of one model. *files_recorded* counts the versions whose files were hashed.

    *files_missing* counts those whose files could not be read; the files of the other versions are recorded by the
    next inspections.
    """

    model: str
    versions: int
    production: tuple[int, ...]
    aliases: Mapping[str, int]
    files_recorded: int
    files_missing: int


def submit_acceptance(
    stores: Stores, actor: Actor, *, models: Sequence[str] = (), reason: str, all_files: bool = False
) -> Job:
    """Submit the acceptance as a job for a worker. The state is read when the job runs.

    Raises:
        AlreadyDecided: such a job is running.
        ModelNotFound, ReasonMissing, Forbidden, RegistryUnavailable.
    """
    stores.audit.require(actor, Action.REGISTRY_ACCEPT, SUBJECT)
    reason = require_reason(reason)
    _choose(stores, models)
    running = next((job for job in stores.jobs.list(live_only=True) if job.kind == JOB_KIND), None)
    if running is not None:
        raise AlreadyDecided(
            "{person} already accepts the registry. Wait for job {job_id}.", person=running.actor, job_id=running.id
        )
    arguments = {"models": list(models), "reason": reason, "all_files": all_files}
    return stores.jobs.submit(JOB_KIND, arguments, actor)


def accept_registry(
    stores: Stores,
    actor: Actor,
    *,
    models: Sequence[str] = (),
    reason: str,
    all_files: bool = False,
    progress: Progress | None = None,
) -> tuple[AcceptedModel, ...]:
    """Accept the present state of *models*, by default of every model that is not taken over yet.

    The files of versions in Production and Staging are hashed, with *all_files* those of every version. Each model is
    one event of the log: a process that dies has accepted the models before, and a second call accepts the rest.

    Raises:
        AlreadyDecided: a named model has been taken over before.
        ModelNotFound, ReasonMissing, Forbidden, RegistryUnavailable, JobCancelled.
    """
    watch = progress or Silent()
    with stores.audit.recording(
        actor, Action.REGISTRY_ACCEPT, SUBJECT, reason=reason, before={"models": list(models) or "all"}
    ) as record:
        watch.remember(operation=record.operation)
        reason = require_reason(reason)
        chosen = _choose(stores, models)
        versions = [version for version in stores.models.versions() if version.model in chosen]
        files = _Files(stores, all_files=all_files)
        accepted: list[AcceptedModel] = []
        for model in chosen:
            watch.checkpoint()
            watch.report(
                len(accepted) / max(len(chosen), 1),
                text("{model} ({number} of {total})", model=model, number=len(accepted) + 1, total=len(chosen)),
            )
            files.read([version for version in versions if version.model == model], watch)
            done = _accept_model(stores, actor, model, files, reason)
            if done is not None:
                accepted.append(done)
        record.after = {
            "models": len(accepted),
            "versions": sum(model.versions for model in accepted),
            "files_recorded": sum(model.files_recorded for model in accepted),
            "files_missing": sum(model.files_missing for model in accepted),
        }
        watch.report(1.0, text("{models} models accepted as found", models=len(accepted)))
    return tuple(accepted)


def _choose(stores: Stores, models: Sequence[str]) -> list[str]:
    """Return the models to accept, by name. Raises ModelNotFound and AlreadyDecided for a named model."""
    untaken = [model.model for model in find_untaken(stores, stores.models.versions())]
    if not models:
        return untaken
    registered = {model.name for model in stores.models.models()}
    for model in models:
        if model not in registered:
            raise ModelNotFound("There is no registered model {model!r}. Pick one from the list.", model=model)
        if model not in untaken:
            raise AlreadyDecided(
                "{model} has been taken over already, or has no version. Its changes are findings.", model=model
            )
    return sorted(set(models))


@dataclass
class _Files:
    """The hashes of the files that were read so far, by model version. A store that does not answer is asked once."""

    stores: Stores
    all_files: bool
    hashes: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)

    def read(self, versions: Sequence[ModelVersion], watch: Progress) -> None:
        for version in versions:
            if self.all_files or version.stage in _HASHED_STAGES:
                watch.checkpoint()
                self.hashes[str(version.key)] = self._hash(version)

    def _hash(self, version: ModelVersion) -> tuple[str | None, str]:
        address = urlsplit(version.source or "")
        place = f"{address.scheme}://{address.netloc}"
        if place in self.silent:
            return None, self.silent[place]
        try:
            return artifact_sha256(self.stores, version)
        except StorageUnavailable as error:
            self.silent[place] = str(error)
            return None, str(error)


def _accept_model(stores: Stores, actor: Actor, model: str, files: _Files, reason: str) -> AcceptedModel | None:
    """Write one model's state to the log, all of it or nothing. None if a decision on the model came first."""
    with stores.decisions.lock(model):
        versions = stores.models.versions(model)
        if not find_untaken(stores, versions):
            return None
        runs = stores.runs.get_many([version.run_id for version in versions if version.run_id], fresh=True)
        measured = read_version_metrics(stores, versions, runs, fresh=True)
        facts = {str(v.key): _facts(stores, v, runs.get(v.run_id or ""), measured[v.key], files) for v in versions}
        recorded = {name: f for name, f in facts.items() if f is not None}
        production = [version for version in versions if version.stage is Stage.PRODUCTION]
        hashes = [files.hashes[name][0] for name in facts if name in files.hashes]
        accepted = AcceptedModel(
            model=model,
            versions=len(versions),
            production=tuple(sorted(version.version for version in production)),
            aliases=aliases_of(versions).get(model, {}),
            files_recorded=sum(sha256 is not None for sha256 in hashes),
            files_missing=sum(sha256 is None for sha256 in hashes),
        )
        after = {
            "model": logged_name(stores, model),
            "stages": {str(version.version): version.stage.value for version in versions},
            "aliases": accepted.aliases,
            "in_production": {
                str(v.version): _in_production(
                    v, runs.get(v.run_id or ""), measured[v.key], files.hashes.get(str(v.key))
                )
                for v in production
            },
            "files_recorded": accepted.files_recorded,
            "files_missing": accepted.files_missing,
        }
        with stores.audit.transaction() as connection:
            stores.audit.append_within(
                connection,
                actor,
                Action.REGISTRY_ACCEPT.value,
                model,
                Outcome.SUCCESS,
                reason=reason,
                operation=uuid4().hex,
                after=after,
            )
            record_facts(
                stores, recorded, reason=text("recorded when the state as found was accepted"), within=connection
            )
    return accepted


def _facts(
    stores: Stores, version: ModelVersion, run: Run | None, measured: VersionMetrics, files: _Files
) -> dict[str, Any] | None:
    """The facts of a version as found; None while its run has not ended, which an inspection records later."""
    facts = version_facts(stores, version, run, measured, as_found=True)
    if facts is not None and str(version.key) in files.hashes:
        facts["artifact"] = files.hashes[str(version.key)][0]
    return facts


def _in_production(
    version: ModelVersion, run: Run | None, measured: VersionMetrics, file: tuple[str | None, str] | None
) -> dict[str, Any]:
    data = claimed_version(run) if run else None
    return {
        "run_id": version.run_id,
        "metrics": settled(dict(measured.values)),
        "data": str(data) if data else None,
        "artifact": file[0] if file else None,
    }
