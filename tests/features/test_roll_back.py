"""Rolling back: to what served before or to any version, after a check that it loads and its data can be read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from core.entities import Actor, PromotionRequest, RequestKind, RequestStatus, Stage
from core.errors import GatesFailed, ModelVersionNotFound, NothingInProduction, Overtaken, Refused, RegistryUnavailable
from core.features.monitoring.findings import close_finding
from core.features.promotion import evaluate_gates as appraising
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import count_decisions, list_requests, request_promotion
from core.features.promotion.roll_back import preview_rollback, roll_back
from core.features.promotion.rollback_checks import list_rollback_targets
from core.features.stores import Stores

MODEL = "iris_classifier"
Promote = Callable[[int], PromotionRequest]


@pytest.fixture
def promote(sample_stores: Stores, scientist: Actor, manager: Actor) -> Promote:
    def both(version: int) -> PromotionRequest:
        asked = request_promotion(
            sample_stores, scientist, model=MODEL, version=version, to=Stage.PRODUCTION, reason="please"
        )
        return approve(sample_stores, manager, asked.id, reason="the numbers hold")

    return both


def stages(stores: Stores) -> dict[int, str]:
    return {v.version: v.stage.value for v in stores.models.versions(MODEL)}


@pytest.mark.both_databases(every_run=True)
def test_rollback_goes_to_the_version_that_was_in_production_before(
    sample_stores: Stores, manager: Actor, promote: Promote
) -> None:
    promote(1)
    promote(3)
    done = roll_back(sample_stores, manager, MODEL, reason="complaints")
    assert (done.kind, done.version, done.status) == (RequestKind.ROLLBACK, 1, RequestStatus.APPROVED)
    assert stages(sample_stores) == {1: "Production", 2: "None", 3: "Archived"}
    assert [gate.name for gate in done.gates] == [
        "data version recorded",
        "data still readable",
        "artifact runs no code on load",
        "unchanged since approval",
        "artifact loads",
    ]
    event = sample_stores.audit.search(action="promotion.rollback", outcome="success")[0]
    assert (event.actor, event.reason, event.subject) == ("manager", "complaints", f"{MODEL}/1")


def logged(stores: Stores, version: int) -> dict[str, float]:
    """The metrics of the run behind a version, read from MLflow's own client."""
    client = MlflowClient(stores.settings.tracking_uri)
    run_id = client.get_model_version(MODEL, str(version)).run_id
    return dict(client.get_run(run_id).data.metrics)


def test_preview_names_what_the_rollback_then_does(sample_stores: Stores, manager: Actor, promote: Promote) -> None:
    promote(1)
    promote(3)
    before = stages(sample_stores), sample_stores.audit.head()
    strict = replace(sample_stores, settings=sample_stores.settings.model_copy(update={"approvals": {MODEL: 2}}))
    preview = preview_rollback(sample_stores, manager, MODEL)
    assert (stages(sample_stores), sample_stores.audit.head()) == before
    assert (str(preview.key), preview.review) == (f"{MODEL}/1", None)
    assert preview.check.compared_with == f"{MODEL}/3"
    assert preview.check.evidence is not None
    assert preview.check.evidence["candidate"]["data"] == {"table": "iris_training_data", "version": 0}
    first, third = logged(sample_stores, 1), logged(sample_stores, 3)
    precision = next(kpi for kpi in preview.kpis if kpi.name == "precision")
    assert (precision.value, precision.production) == (first["precision"], third["precision"])
    assert precision.difference == pytest.approx(first["precision"] - third["precision"], abs=0)
    assert "TestRows" not in {kpi.name for kpi in preview.kpis}
    assert preview.kpi_caveat is not None  # /1 was tested on 15 rows, /3 on 45
    assert "their KPIs do not compare" in preview.kpi_caveat
    assert preview_rollback(strict, manager, MODEL).review == "a promotion to Production needs 2 approvals"
    never_approved = preview_rollback(sample_stores, manager, MODEL, to=2)
    assert never_approved.review == f"{MODEL}/2 was never approved for Production"

    done = roll_back(sample_stores, manager, MODEL, reason="complaints")
    assert preview.check.gates == done.gates
    assert preview.key == done.key
    assert {n: s.value for n, s in preview.stages.items()} == {1: "Production", 3: "Archived"}
    assert stages(sample_stores) == {1: "Production", 2: "None", 3: "Archived"}


def test_rollback_to_an_earlier_version_that_nobody_approved_waits_for_a_review(
    sample_stores: Stores, manager: Actor, manager2: Actor, promote: Promote
) -> None:
    promote(3)
    done = roll_back(sample_stores, manager, MODEL, to=2, reason="on purpose")
    assert stages(sample_stores) == {1: "None", 2: "Production", 3: "Archived"}
    assert "no high finding open" in [gate.name for gate in done.gates]
    (found,) = sample_stores.findings.list()
    assert (found.kind, found.subject, found.id) == ("emergency rollback", f"{MODEL}/2", done.id)
    assert "this version was never approved" in found.found
    with pytest.raises(Refused):
        close_finding(sample_stores, manager, done.id, reason="I did it")
    close_finding(sample_stores, manager2, done.id, reason="looked at it")

    # To roll back to it once more is no approval either.
    promote(3)
    again = roll_back(sample_stores, manager, MODEL, to=2, reason="once more")
    assert [one.id for one in sample_stores.findings.list()] == [again.id]


@pytest.mark.both_databases
def test_rollback_is_no_way_around_a_promotion(sample_stores: Stores, manager: Actor, promote: Promote) -> None:
    with pytest.raises(NothingInProduction, match="ever in Production"):
        roll_back(sample_stores, manager, MODEL, to=2, reason="complaints")
    with pytest.raises(NothingInProduction, match="Choose the version"):
        preview_rollback(sample_stores, manager, MODEL)
    promote(1)
    assert list_rollback_targets(sample_stores, manager, MODEL) == {}
    with pytest.raises(Refused, match="Request its promotion"):
        preview_rollback(sample_stores, manager, MODEL, to=3)
    with pytest.raises(Refused, match="in Production already"):
        preview_rollback(sample_stores, manager, MODEL, to=1)
    with pytest.raises(Refused, match="Request its promotion"):
        roll_back(sample_stores, manager, MODEL, to=3, reason="complaints")
    assert stages(sample_stores) == {1: "Production", 2: "None", 3: "None"}
    promote(3)
    # The version that was in Production before is first.
    assert list(list_rollback_targets(sample_stores, manager, MODEL).items()) == [(1, True), (2, False)]
    roll_back(sample_stores, manager, MODEL, reason="complaints")
    assert list_rollback_targets(sample_stores, manager, MODEL) == {3: True}


def test_rollback_to_a_version_whose_files_are_not_those_that_were_approved_is_refused(
    sample_stores: Stores, manager: Actor, promote: Promote
) -> None:
    promote(1)
    promote(3)
    for file in sample_stores.settings.artifact_root.rglob("requirements.txt"):
        file.write_text(file.read_text() + "# one more line\n")
    preview = preview_rollback(sample_stores, manager, MODEL)
    assert preview.check.passed is False
    (failed,) = [gate for gate in preview.check.gates or () if not gate.passed]
    with pytest.raises(
        GatesFailed, match=r"unchanged since approval: Changed since decision .*: model files"
    ) as refused:
        roll_back(sample_stores, manager, MODEL, reason="complaints")
    assert failed.detail in str(refused.value)
    assert stages(sample_stores)[3] == "Production"


def test_rollback_to_a_format_that_policy_allows_by_name_does_not_run_it(
    sample_stores: Stores, manager: Actor, promote: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(1)
    promote(3)
    policies = {MODEL: [{"gate": "artifact_safe", "allow": ["cloudpickle"]}]}
    allowing = replace(sample_stores, settings=sample_stores.settings.model_copy(update={"policies": policies}))
    look = appraising.inspect_model
    monkeypatch.setattr(
        appraising, "inspect_model", lambda folder: replace(look(folder), format="cloudpickle", is_safe=False)
    )
    monkeypatch.setattr(appraising, "changed_facts", lambda then, now: None)
    with pytest.raises(GatesFailed, match="artifact runs no code on load"):
        roll_back(sample_stores, manager, MODEL, reason="complaints")
    with pytest.raises(GatesFailed, match="unchanged since approval") as refused:
        roll_back(allowing, manager, MODEL, reason="complaints")
    assert "runs no code" not in str(refused.value)
    done = roll_back(allowing, manager, MODEL, to=2, reason="complaints")
    assert done.gates[-1].detail.startswith("Not loaded: saved as cloudpickle")


@pytest.mark.both_databases
def test_rollback_where_nothing_served_before_says_so(sample_stores: Stores, manager: Actor, promote: Promote) -> None:
    with pytest.raises(NothingInProduction):
        roll_back(sample_stores, manager, MODEL, reason="complaints")
    promote(1)
    with pytest.raises(ModelVersionNotFound, match="was in Production before version"):
        roll_back(sample_stores, manager, MODEL, reason="complaints")
    with pytest.raises(Refused, match="in Production already"):
        roll_back(sample_stores, manager, MODEL, to=1, reason="complaints")


def test_rollback_to_a_version_whose_artifact_is_broken_is_refused(
    sample_stores: Stores, manager: Actor, promote: Promote
) -> None:
    promote(1)
    promote(3)
    for file in sample_stores.settings.artifact_root.rglob("*.skops"):
        file.write_bytes(b"not a model")
    with pytest.raises(GatesFailed, match="artifact loads"):
        roll_back(sample_stores, manager, MODEL, reason="complaints")
    assert stages(sample_stores)[3] == "Production"


def test_rollback_to_a_version_whose_data_is_lost_is_refused(
    sample_stores: Stores, manager: Actor, promote: Promote
) -> None:
    promote(1)
    promote(3)
    shutil.rmtree(sample_stores.catalog.resolve("iris_training_data").uri)
    with pytest.raises(GatesFailed, match="data still readable"):
        roll_back(sample_stores, manager, MODEL, reason="complaints")
    assert stages(sample_stores)[3] == "Production"


@pytest.mark.both_databases
def test_rollback_that_the_registry_refused_leaves_no_request_to_approve(
    sample_stores: Stores, manager: Actor, promote: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(1)
    promote(3)

    def down(model: str, stages: object, **_: object) -> None:
        raise RegistryUnavailable("MLflow does not answer.")

    monkeypatch.setattr(sample_stores.models, "set_stages", down)
    with pytest.raises(RegistryUnavailable):
        roll_back(sample_stores, manager, MODEL, reason="complaints")
    newest = list_requests(sample_stores, manager)[0]
    assert (newest.kind, newest.status) == (RequestKind.ROLLBACK, RequestStatus.EXPIRED)
    assert stages(sample_stores)[3] == "Production"


@pytest.mark.both_databases
def test_of_two_who_roll_back_on_the_same_sight_the_second_is_told(
    sample_stores: Stores, manager: Actor, manager2: Actor, promote: Promote
) -> None:
    promote(1)
    promote(3)
    seen = count_decisions(sample_stores, manager, MODEL)
    roll_back(sample_stores, manager, MODEL, reason="complaints", seen_decisions=seen)
    with pytest.raises(Overtaken, match=f"manager moved {MODEL}/1 to Production meanwhile"):
        roll_back(sample_stores, manager2, MODEL, reason="complaints", seen_decisions=seen)
    assert stages(sample_stores) == {1: "Production", 2: "None", 3: "Archived"}, "not back to what was wrong"
    assert sample_stores.audit.search(action="promotion.rollback")[0].outcome.value == "denied"
