"""Acceptances: the models whose state as found was accepted, and the models that are not taken over yet.

A model has been taken over if ModelLedger trained its first version, decided on a stage of it, or a person accepted its
present state. Of other models ModelLedger knows only what it saw: it does not know which stages and aliases are right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.access.permissions import Action
from core.audit.canonical_json import settled
from core.entities import Actor, Event, ModelVersion, ModelVersionKey, Outcome, Stage
from core.features.stores import Stores


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """A model's state as found, as it was accepted. *sequence* is the number of the event that holds it.

    *stages* are those of all versions. *in_production* holds the facts of the versions in Production: run_id, metrics,
    data and artifact (SHA-256, None where the files could not be read).
    """

    model: str
    sequence: int
    time: datetime
    actor: str
    reason: str
    stages: Mapping[int, Stage]
    aliases: Mapping[str, int]
    in_production: Mapping[int, Mapping[str, Any]]

    @property
    def production(self) -> int | None:
        """The version in Production; the highest number where several were there."""
        return max(self.in_production, default=None)


@dataclass(frozen=True, kw_only=True)
class UntakenModel:
    """A model that is not taken over yet. *production* are the numbers of its versions in Production."""

    model: str
    versions: int
    production: tuple[int, ...]
    aliases: Mapping[str, int]


def read_acceptances(stores: Stores) -> dict[str, Acceptance]:
    """Return the acceptance of each model that has one, by model."""
    events = stores.audit.search(action=Action.REGISTRY_ACCEPT.value, outcome=Outcome.SUCCESS.value, limit=None)
    accepted = (acceptance for event in reversed(events) if (acceptance := acceptance_of(event)) is not None)
    return {acceptance.model: acceptance for acceptance in accepted}


def find_acceptance(stores: Stores, model: str) -> Acceptance | None:
    """Return the acceptance of one model, or None."""
    return read_acceptances(stores).get(logged_name(stores, model))


def acceptance_of(event: Event) -> Acceptance | None:
    """Return the acceptance that an event holds. None for the event of a whole operation and for other events."""
    stages, model = event.after.get("stages"), event.after.get("model")
    if event.action != Action.REGISTRY_ACCEPT.value or event.outcome is not Outcome.SUCCESS or model is None:
        return None
    return Acceptance(
        model=str(model),
        sequence=event.sequence,
        time=event.time,
        actor=event.actor,
        reason=event.reason,
        stages={int(number): Stage(stage) for number, stage in (stages or {}).items()},
        aliases=dict(event.after.get("aliases") or {}),
        in_production={int(number): facts for number, facts in (event.after.get("in_production") or {}).items()},
    )


def logged_name(stores: Stores, model: str) -> str:
    """Return the name of a model as the log holds it."""
    return str(settled(stores.audit.redacted(model)))


def created_here(stores: Stores) -> frozenset[str]:
    """Return the models whose first version ModelLedger trained."""
    # The text narrows the search in the database: a log holds far more trainings than first versions.
    trainings = stores.audit.search(
        action=Action.RUN_TRAIN.value, outcome=Outcome.SUCCESS.value, text='/1"', limit=None
    )
    names = (str(event.after.get("model") or "") for event in trainings)
    return frozenset(name.removesuffix("/1") for name in names if name.endswith("/1"))


def list_untaken(stores: Stores, actor: Actor) -> tuple[UntakenModel, ...]:
    """Return the models that are not taken over yet, by name.

    Raises:
        RegistryUnavailable: the registry does not answer.
    """
    stores.audit.require(actor, Action.RECONCILE_READ)
    return find_untaken(stores, stores.models.versions())


def find_untaken(stores: Stores, versions: Iterable[ModelVersion]) -> tuple[UntakenModel, ...]:
    """Return the models of *versions* that are not taken over yet, by name. The registry is not read."""
    by_model: dict[str, list[ModelVersion]] = {}
    for version in versions:
        by_model.setdefault(version.model, []).append(version)
    taken = stores.decisions.models_decided()
    candidates = sorted(by_model.keys() - taken)
    if candidates:
        known = created_here(stores) | read_acceptances(stores).keys()
        candidates = [model for model in candidates if logged_name(stores, model) not in known]
    return tuple(
        UntakenModel(
            model=model,
            versions=len(by_model[model]),
            production=tuple(sorted(v.version for v in by_model[model] if v.stage is Stage.PRODUCTION)),
            aliases={alias: version.version for version in by_model[model] for alias in version.aliases},
        )
        for model in candidates
    )


def was_accepted_in_production(acceptance: Acceptance | None, key: ModelVersionKey) -> bool:
    """Return whether the version was in Production when the state of its model was accepted."""
    return acceptance is not None and key.version in acceptance.in_production
