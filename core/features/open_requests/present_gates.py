"""Present gates: evaluates open requests as they are now, and says what differs from the request and why."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.access.permissions import Action
from core.audit.canonical_json import canonical
from core.entities import (
    Actor,
    GateCheck,
    GateResult,
    ModelVersion,
    PromotionRequest,
    RequestStatus,
    Run,
    Stage,
)
from core.errors import CoreError, Unavailable
from core.features.promotion.evaluate_gates import changed_facts, evaluate_gates
from core.features.stores import Stores
from core.texts import text

# A list evaluates this many open requests; each of the others is evaluated when it is opened.
MOST_PER_LIST = 20
# Files of models and tables change without a sign in the registry: a result is used no longer than this.
_FRESH_S = 60.0
_MOST_KEPT = 256


@dataclass(frozen=True, kw_only=True)
class PresentGates:
    """The gates of an open request now. *changes* are sentences on what differs from the request, and why.

    *expiry* names the facts of the candidate that changed since the request: an approval would end it as expired.
    """

    check: GateCheck
    changes: tuple[str, ...] = ()
    expiry: str | None = None


_kept: OrderedDict[tuple[str, bool], tuple[str, float, PresentGates]] = OrderedDict()
_lock = threading.Lock()


def present_gates(stores: Stores, actor: Actor, request: PromotionRequest) -> PresentGates | None:
    """Evaluate an open request with all evidence, its model's files included; None for a request that is not open."""
    return _evaluate(stores, actor, [request], reads_files=True).get(request.id)


def present_gates_of(stores: Stores, actor: Actor, requests: Iterable[PromotionRequest]) -> Mapping[str, PresentGates]:
    """Evaluate the first open *requests*, at most MOST_PER_LIST, by request id.

    The files of the models are not read: they count as they were at the request.
    """
    pending = [request for request in requests if request.status is RequestStatus.OPEN][:MOST_PER_LIST]
    return _evaluate(stores, actor, pending, reads_files=False)


def _evaluate(
    stores: Stores, actor: Actor, requests: Iterable[PromotionRequest], *, reads_files: bool
) -> dict[str, PresentGates]:
    stores.audit.require(actor, Action.PROMOTION_READ)
    pending = [request for request in requests if request.status is RequestStatus.OPEN]
    if not pending:
        return {}
    try:
        state = _read_state(stores, pending)
        return {
            request.id: _evaluate_once(
                stores, request, f"{state[request.model]} {_data_state(stores, request)}", reads_files=reads_files
            )
            for request in pending
        }
    except Unavailable as error:
        # One failed call is enough: each further call could wait as long.
        return {request.id: _failed(error) for request in pending}


def _read_state(stores: Stores, requests: Sequence[PromotionRequest]) -> dict[str, str]:
    """Return, by model, a hash of what the gates depend on and what can be read in a few calls for all models."""
    versions = {model: stores.models.versions(model) for model in {request.model for request in requests}}
    candidates = {request.key for request in requests}
    compared = [
        version
        for of_model in versions.values()
        for version in of_model
        if version.key in candidates or version.stage is Stage.PRODUCTION
    ]
    runs = stores.runs.get_many([version.run_id for version in compared if version.run_id], fresh=True)
    # Findings, decisions, comparisons and accepted states change with an event of the log.
    log = list(stores.audit.head())
    state = {}
    for model, of_model in versions.items():
        facts = [
            [[version.version, version.stage.value] for version in of_model],
            [
                [str(version.key), version.run_id, version.source, dict(version.tags), _run_state(runs, version)]
                for version in compared
                if version.model == model
            ],
            log,
            str(stores.settings.policies),
        ]
        state[model] = hashlib.sha256(canonical(facts).encode()).hexdigest()
    return state


def _data_state(stores: Stores, request: PromotionRequest) -> str:
    """Return the table id and the commit's time of the candidate's data: other data may have its name now."""
    data = (request.evidence.get("candidate") or {}).get("data") or {}
    table = stores.catalog.registered().find(str(data.get("table") or ""))
    if table is None or data.get("version") is None:
        return "no data"
    try:
        snapshot = stores.engine.snapshot(table, version=int(data["version"]))
    except Unavailable:
        raise
    except CoreError as error:
        return str(error)
    return f"{snapshot.table_id} {snapshot.timestamp.isoformat()}"


def _run_state(runs: Mapping[str, Run], version: ModelVersion) -> list[object] | None:
    run = runs.get(version.run_id or "")
    if run is None:
        return None
    return [run.status.value, run.is_deleted, dict(run.metrics), dict(run.params), dict(run.tags)]


def _evaluate_once(stores: Stores, request: PromotionRequest, state: str, *, reads_files: bool) -> PresentGates:
    """Evaluate the request, or return the result of a moment ago where nothing changed since."""
    key, now = (request.id, reads_files), time.monotonic()
    with _lock:
        kept = _kept.get(key)
    if kept is not None and kept[0] == state and now - kept[1] < _FRESH_S:
        return kept[2]
    recorded = None if reads_files else (request.evidence.get("candidate") or {}).get("artifact")
    try:
        evaluation = evaluate_gates(stores, request.key, request.to, artifact=recorded)
    except Unavailable:
        raise
    except CoreError as error:
        return _failed(error)
    check = GateCheck(at=datetime.now(UTC), gates=evaluation.gates, evidence=evaluation.evidence)
    result = PresentGates(
        check=check,
        changes=_changes(request.at_request, check),
        expiry=changed_facts(request.evidence, evaluation.candidate),
    )
    with _lock:
        _kept[key] = (state, now, result)
        _kept.move_to_end(key)
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return result


def _failed(error: CoreError) -> PresentGates:
    return PresentGates(check=GateCheck(at=datetime.now(UTC), gates=(), evidence={"problem": str(error)}))


def _changes(then: GateCheck, now: GateCheck) -> tuple[str, ...]:
    """Return a sentence per gate whose result differs, or one on Production where only the version there changed."""
    rival = _rival_change(then, now)
    before = {gate.name: gate for gate in then.gates or ()}
    after = {gate.name: gate for gate in now.gates or ()}
    changes = [_change(before.get(gate.name), gate, then, now, rival) for gate in after.values()]
    changes += [
        text("{gate}: no longer a gate of the policy.", gate=name) for name in before if name not in after and after
    ]
    differing = tuple(change for change in changes if change)
    return differing or ((text("{change} since the request.", change=rival),) if rival else ())


def _rival_change(then: GateCheck, now: GateCheck) -> str | None:
    if (then.compared_with, then.is_rival_in_production) == (now.compared_with, now.is_rival_in_production):
        return None
    if now.compared_with is None:
        return text("No other version is in Production now")
    if now.is_rival_in_production:
        return text("Production changed to {version}", version=now.compared_with)
    return text("{version} left Production", version=now.compared_with)


def _change(
    before: GateResult | None, gate: GateResult, then: GateCheck, now: GateCheck, rival: str | None
) -> str | None:
    if before is None:
        result = text("passes") if gate.passed else text("fails")
        return text(
            "{gate}: not a gate when requested; {result} now: {why}", gate=gate.name, result=result, why=gate.detail
        )
    if before.passed is gate.passed:
        return None
    names = [name for name in (then.compared_with, now.compared_with) if name]
    is_about_rival = rival is not None and any(name in gate.detail or name in before.detail for name in names)
    why = f"{rival}." if is_about_rival else gate.detail
    if gate.passed:
        return text("{gate}: failed when requested; passes now: {why}", gate=gate.name, why=why)
    return text("{gate}: passed when requested; fails now: {why}", gate=gate.name, why=why)
