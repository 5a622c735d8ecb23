"""Approvals hold for what was looked at: evidence that changed ends a request, at approval and at execution."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from deltalake import DeltaTable

from core.bootstrap import open_stores
from core.entities import Actor, ModelVersionKey, PromotionRequest, RequestStatus, Stage
from core.errors import AlreadyDecided, EvidenceChanged
from core.features.monitoring.reconcile import find_differences, resolve_request
from core.features.promotion import decide
from core.features.promotion import roll_back as rolling_back
from core.features.promotion.apply_decision import begin_decision
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import list_approvals, request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.stores import Stores
from core.settings import load_settings
from tests.features.iris import TABLE, iris

pytestmark = pytest.mark.both_databases

MODEL = "iris_classifier"
Ask = Callable[[int], PromotionRequest]
Tamper = Callable[[Stores, int], None]


def edit_metric(stores: Stores, version: int) -> None:
    """What anybody may do in MLflow after the run has ended."""
    run_id = stores.models.version(ModelVersionKey(model=MODEL, version=version)).run_id
    stores.runs.log(str(run_id), metrics={"f1": 0.999})


def flip_a_byte(stores: Stores, version: int) -> None:
    """One byte of the model file, with its size as it was."""
    source = stores.models.version(ModelVersionKey(model=MODEL, version=version)).source
    folder = Path(unquote(urlsplit(str(source)).path))
    (file,) = folder.rglob("*.skops")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def vacuum(stores: Stores, version: int) -> None:
    """The table is written anew and its older files are taken away: earlier versions open and cannot be read."""
    table = stores.catalog.resolve(TABLE)
    stores.engine.write(table, iris(), mode="overwrite")
    DeltaTable(table.uri).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)


CHANGES = pytest.mark.parametrize(
    ("tamper", "named"),
    [(edit_metric, "metrics"), (flip_a_byte, "artifact"), (vacuum, "data_verdict")],
    ids=["metric edited", "byte of the model", "data vacuumed"],
)


@pytest.fixture
def ask(sample_stores: Stores, scientist: Actor) -> Ask:
    return lambda version: request_promotion(
        sample_stores, scientist, model=MODEL, version=version, to=Stage.PRODUCTION, reason="please"
    )


@pytest.fixture
def two_needed(sample_stores: Stores) -> Stores:
    """The sample, where two people must approve for Production."""
    return open_stores(load_settings(home=sample_stores.settings.home, approvals={MODEL: 2}))


def stages(stores: Stores) -> dict[int, str]:
    return {v.version: v.stage.value for v in stores.models.versions(MODEL)}


def tampering_after(stores: Stores, tamper: Tamper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the change happen right after the approval was written down, before the registry is touched."""

    def begin_then(stores: Stores, request: PromotionRequest, **given: object) -> PromotionRequest:
        begun = begin_decision(stores, request, **given)  # type: ignore[arg-type]
        tamper(stores, request.version)
        return begun

    for module in (decide, rolling_back):
        monkeypatch.setattr(module, "begin_decision", begin_then)


@CHANGES
def test_evidence_that_changed_before_the_approval_ends_the_request(
    sample_stores: Stores, manager: Actor, manager2: Actor, ask: Ask, tamper: Tamper, named: str
) -> None:
    asked = ask(3)
    tamper(sample_stores, 3)
    with pytest.raises(EvidenceChanged, match=named):
        approve(sample_stores, manager, asked.id, reason="fine")
    expired = sample_stores.decisions.get(asked.id)
    assert expired.status is RequestStatus.EXPIRED
    assert named in str(expired.reason)
    assert set(stages(sample_stores).values()) == {"None"}
    with pytest.raises(AlreadyDecided, match="expired"):
        approve(sample_stores, manager2, asked.id, reason="all the same")
    assert ask(3).status is RequestStatus.OPEN


@CHANGES
def test_evidence_that_changed_between_approval_and_execution_ends_the_request(
    sample_stores: Stores,
    manager: Actor,
    auditor: Actor,
    ask: Ask,
    tamper: Tamper,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = ask(3)
    tampering_after(sample_stores, tamper, monkeypatch)
    with pytest.raises(EvidenceChanged, match=named):
        approve(sample_stores, manager, asked.id, reason="fine")
    expired = sample_stores.decisions.get(asked.id)
    assert (expired.status, expired.decided_by, dict(expired.intended)) == (RequestStatus.EXPIRED, None, {})
    assert named in str(expired.reason)
    assert set(stages(sample_stores).values()) == {"None"}
    assert find_differences(sample_stores, auditor) == ()
    last = sample_stores.audit.search(action="promotion.decide")[0]
    assert (last.outcome.value, last.actor) == ("denied", "manager")
    assert named in last.reason


def test_evidence_is_hashed_last_of_all_while_the_model_is_held(
    sample_stores: Stores, manager: Actor, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, order = ask(3), []
    copy, change = sample_stores.models.download, sample_stores.models.set_stages
    monkeypatch.setattr(sample_stores.models, "download", lambda *a, **o: (order.append("hash"), copy(*a, **o))[1])
    monkeypatch.setattr(
        sample_stores.models, "set_stages", lambda *a, **o: (order.append("registry"), change(*a, **o))[1]
    )
    approve(sample_stores, manager, asked.id, reason="fine")
    assert order == ["hash", "hash", "registry"]


@CHANGES
def test_earlier_approval_does_not_survive_evidence_that_changed(
    two_needed: Stores, manager: Actor, manager2: Actor, ask: Ask, tamper: Tamper, named: str
) -> None:
    asked = ask(3)
    assert approve(two_needed, manager, asked.id, reason="looks right").status is RequestStatus.OPEN
    tamper(two_needed, 3)
    with pytest.raises(EvidenceChanged, match=named):
        approve(two_needed, manager2, asked.id, reason="agreed")
    assert two_needed.decisions.get(asked.id).status is RequestStatus.EXPIRED
    again = ask(3)
    assert list_approvals(two_needed, manager, again) == ()
    assert set(stages(two_needed).values()) == {"None"}


def test_last_approval_of_several_is_executed_on_the_evidence_of_all(
    two_needed: Stores, manager: Actor, manager2: Actor, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(3)
    approve(two_needed, manager, asked.id, reason="looks right")
    tampering_after(two_needed, flip_a_byte, monkeypatch)
    with pytest.raises(EvidenceChanged, match="artifact"):
        approve(two_needed, manager2, asked.id, reason="agreed")
    assert two_needed.decisions.get(asked.id).status is RequestStatus.EXPIRED
    assert set(stages(two_needed).values()) == {"None"}


def test_rollback_to_a_version_that_changes_while_it_is_carried_out_is_refused(
    sample_stores: Stores, manager: Actor, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(sample_stores, manager, ask(3).id, reason="fine")
    tampering_after(sample_stores, flip_a_byte, monkeypatch)
    with pytest.raises(EvidenceChanged, match="artifact"):
        roll_back(sample_stores, manager, MODEL, to=1, reason="complaints")
    assert stages(sample_stores) == {1: "None", 2: "None", 3: "Production"}
    assert sample_stores.decisions.list(model=MODEL)[0].status is RequestStatus.EXPIRED
    assert sample_stores.audit.search(action="promotion.rollback")[0].outcome.value == "denied"


def left(
    stores: Stores, manager: Actor, asked: PromotionRequest, monkeypatch: pytest.MonkeyPatch, *, moved: int
) -> None:
    """What a promoter leaves that was interrupted: the first *moved* stages are in the registry, no outcome."""
    whole = stores.models.set_stages

    def part(model: str, wanted: dict[int, Stage], **confirm: object) -> None:
        last_to_first = sorted(wanted.items(), key=lambda item: item[1] is Stage.PRODUCTION)
        whole(model, dict(last_to_first[:moved]), **confirm)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stores.models, "set_stages", part)
        with pytest.raises(KeyboardInterrupt):
            approve(stores, manager, asked.id, reason="fine")
    assert stores.decisions.get(asked.id).status is RequestStatus.UNFINISHED


def test_what_was_left_halfway_is_taken_back_where_the_evidence_changed_meanwhile(
    sample_stores: Stores, manager: Actor, auditor: Actor, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(sample_stores, manager, ask(1).id, reason="first")
    asked = ask(3)
    left(sample_stores, manager, asked, monkeypatch, moved=1)
    assert stages(sample_stores) == {1: "Archived", 2: "None", 3: "None"}
    flip_a_byte(sample_stores, 3)
    done = resolve_request(sample_stores, manager, asked.id, reason="restart")
    assert done.status is RequestStatus.EXPIRED
    assert "artifact" in str(done.reason)
    assert stages(sample_stores) == {1: "Production", 2: "None", 3: "None"}
    assert find_differences(sample_stores, auditor) == ()


def test_what_was_carried_out_before_the_evidence_changed_is_finished(
    sample_stores: Stores, manager: Actor, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(sample_stores, manager, ask(1).id, reason="first")
    asked = ask(3)
    left(sample_stores, manager, asked, monkeypatch, moved=2)
    flip_a_byte(sample_stores, 3)
    assert resolve_request(sample_stores, manager, asked.id, reason="restart").status is RequestStatus.APPROVED
    assert stages(sample_stores) == {1: "Archived", 2: "None", 3: "Production"}
