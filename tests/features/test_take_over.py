"""A registry that was there before ModelLedger: nobody is accused, its state is accepted, later changes are found."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mlflow import MlflowClient

from core.entities import Actor, Finding, ModelVersionKey, Outcome, RequestStatus, Stage
from core.errors import AlreadyDecided, GatesFailed, JobCancelled, ModelNotFound, ReasonMissing, Refused
from core.features.evidence.collect import collect_evidence
from core.features.evidence.dossier import build_dossier
from core.features.history.as_of import state_at
from core.features.history.moment import moment_of_event
from core.features.lineage.build_graph import lineage_of_model
from core.features.monitoring.findings import INSPECTOR, close_finding, inspect_registry
from core.features.monitoring.reconcile import find_differences
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import preview_gates, request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.promotion.rollback_checks import list_rollback_targets
from core.features.stores import Stores
from core.features.takeover import accept_registry as taking_over
from core.features.takeover.accept_registry import accept_registry, submit_acceptance
from core.features.takeover.acceptances import find_untaken
from core.jobs.progress import Silent
from tests.plain_registry import PlainRegistry

POLICY = [{"gate": "not_below_production", "metric": "f1"}, {"gate": "no_high_finding"}]


@pytest.fixture
def theirs(sample_stores: Stores, tmp_path: Path) -> PlainRegistry:
    """churn: 2 in Production, 1 deleted, alias champion; fraud: 1 without files, 2 without a run, 3 in Staging."""
    registry = PlainRegistry(sample_stores.settings.tracking_uri, tmp_path / "artifacts")
    model = urlsplit(str(sample_stores.models.version(_key("iris_classifier", 1)).source)).path
    registry.version("churn", metrics={"f1": 0.70})
    registry.version("churn", metrics={"f1": 0.80}, stage="Production", files=Path(model))
    registry.version("churn", metrics={"f1": 0.75}, alias="champion")
    registry.client.delete_model_version("churn", "1")
    registry.version("fraud", files=None)
    registry.version("fraud")
    registry.version("fraud", stage="Staging")
    registry.client.delete_run(registry.run_of("fraud", 2))
    return registry


def _key(model: str, version: int) -> ModelVersionKey:
    return ModelVersionKey(model=model, version=version)


def told(found: tuple[Finding, ...]) -> set[tuple[str, str]]:
    return {(finding.kind, finding.subject) for finding in found}


def untaken(stores: Stores) -> list[str]:
    return [model.model for model in find_untaken(stores, stores.models.versions())]


def test_a_registry_as_found_gives_no_finding_and_is_named_as_not_taken_over(
    sample_stores: Stores, theirs: PlainRegistry, auditor: Actor
) -> None:
    assert inspect_registry(sample_stores, INSPECTOR) == ()
    assert inspect_registry(sample_stores, INSPECTOR) == ()
    theirs.move("churn", 3, "Production")
    theirs.client.set_registered_model_alias("churn", "champion", "2")
    assert inspect_registry(sample_stores, INSPECTOR) == (), "nobody has said which stages and aliases are right"
    differences = find_differences(sample_stores, auditor)
    assert [(d.kind, d.subject) for d in differences] == [
        ("not taken over yet", "churn"),
        ("not taken over yet", "fraud"),
    ]
    assert differences[0].found == "2 versions, in Production: 2, 3"


def test_what_an_inspection_saw_and_was_changed_is_found_before_the_acceptance(
    sample_stores: Stores, theirs: PlainRegistry
) -> None:
    inspect_registry(sample_stores, INSPECTOR)
    theirs.client.log_metric(theirs.run_of("churn", 2), "f1", 0.99)
    theirs.client.delete_run(theirs.run_of("churn", 3))
    assert told(inspect_registry(sample_stores, INSPECTOR)) == {
        ("metric changed", "churn/2"),
        ("run deleted", "churn/3"),
    }


@pytest.mark.both_databases
def test_after_the_acceptance_each_later_change_is_found(
    sample_stores: Stores, theirs: PlainRegistry, manager: Actor, auditor: Actor
) -> None:
    inspect_registry(sample_stores, INSPECTOR)
    theirs.client.log_metric(theirs.run_of("churn", 3), "f1", 0.76)  # accepted with the rest
    accepted = accept_registry(sample_stores, manager, reason="reviewed with the team")
    assert [(m.model, m.versions, m.production, m.files_recorded, m.files_missing) for m in accepted] == [
        ("churn", 2, (2,), 1, 0),
        ("fraud", 3, (), 1, 0),
    ]
    assert find_differences(sample_stores, auditor) == ()
    assert inspect_registry(sample_stores, INSPECTOR) == ()
    assert inspect_registry(sample_stores, INSPECTOR) == ()

    theirs.move("churn", 3, "Production")
    theirs.client.set_registered_model_alias("churn", "champion", "2")
    (theirs.files_of("churn", 2) / "extra.bin").write_text("x")
    theirs.client.log_metric(theirs.run_of("fraud", 3), "f1", 0.99)
    theirs.client.set_tag(theirs.run_of("churn", 2), "delta.table", "iris_training_data")
    theirs.client.set_tag(theirs.run_of("churn", 2), "delta.version", "1")
    shutil.rmtree(theirs.files_of("fraud", 3))
    theirs.client.delete_model_version("fraud", "2")
    found = inspect_registry(sample_stores, INSPECTOR)
    assert told(found) == {
        ("several in Production", "churn"),
        ("stage differs", "churn/3"),
        ("alias moved", "churn"),
        ("artifact replaced", "churn/2"),
        ("data stamp changed", "churn/2"),
        ("metric changed", "fraud/3"),
        ("artifact missing", "fraud/3"),
        ("version missing", "fraud/2"),
        ("version number missing", "fraud/2"),
    }
    stage = next(finding for finding in found if finding.kind == "stage differs")
    assert "manager accepted the state as found on " in stage.detail


def test_an_acceptance_is_recorded_with_intent_outcome_and_one_event_per_model(
    sample_stores: Stores, theirs: PlainRegistry, admin: Actor
) -> None:
    accept_registry(sample_stores, admin, models=["fraud"], reason="only this one")
    events = sample_stores.audit.search(action="registry.accept", limit=None)[::-1]
    assert [(e.subject, e.outcome.value, e.reason) for e in events] == [
        ("registry", "intent", "only this one"),
        ("fraud", "success", "only this one"),
        ("registry", "success", "only this one"),
    ]
    assert events[1].after["stages"] == {"1": "None", "2": "None", "3": "Staging"}
    assert events[2].after == {"models": 1, "versions": 3, "files_recorded": 1, "files_missing": 0}
    assert untaken(sample_stores) == ["churn"]
    assert sample_stores.audit.verify().ok


def test_only_models_without_our_history_are_accepted(
    sample_stores: Stores, theirs: PlainRegistry, manager: Actor
) -> None:
    assert untaken(sample_stores) == ["churn", "fraud"]
    with pytest.raises(AlreadyDecided, match="iris_classifier has been taken over already"):
        accept_registry(sample_stores, manager, models=["churn", "iris_classifier"], reason="r")
    with pytest.raises(ModelNotFound):
        accept_registry(sample_stores, manager, models=["nobody"], reason="r")
    with pytest.raises(ReasonMissing):
        accept_registry(sample_stores, manager, reason=" ")
    assert untaken(sample_stores) == ["churn", "fraud"]
    accept_registry(sample_stores, manager, reason="r")
    with pytest.raises(AlreadyDecided):
        accept_registry(sample_stores, manager, models=["churn"], reason="once more")
    sample_stores.models.set_stages("iris_classifier", {2: Stage.PRODUCTION})
    assert told(inspect_registry(sample_stores, INSPECTOR)) == {
        ("stage differs", "iris_classifier/2"),
        ("serving alias moved", "iris_classifier"),
    }


def test_an_acceptance_that_is_stopped_keeps_what_was_accepted_and_goes_on_with_the_rest(
    sample_stores: Stores, theirs: PlainRegistry, manager: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = taking_over._accept_model

    def accept_then_stop(*arguments: object) -> object:
        done = original(*arguments)  # type: ignore[arg-type]
        watch.is_stopped = True
        return done

    class Watch(Silent):
        is_stopped = False

        def checkpoint(self) -> None:
            if self.is_stopped:
                raise JobCancelled("cancelled on request")

    watch = Watch()
    with monkeypatch.context() as patched:
        patched.setattr(taking_over, "_accept_model", accept_then_stop)
        with pytest.raises(JobCancelled):
            accept_registry(sample_stores, manager, reason="r", progress=watch)
    assert untaken(sample_stores) == ["fraud"]
    assert sample_stores.audit.search(subject="registry", action="registry.accept")[0].outcome is Outcome.FAILED
    assert [model.model for model in accept_registry(sample_stores, manager, reason="r")] == ["fraud"]


def test_files_of_every_version_are_recorded_on_request(
    sample_stores: Stores, theirs: PlainRegistry, manager: Actor
) -> None:
    accepted = accept_registry(sample_stores, manager, reason="r", all_files=True)
    assert [(model.files_recorded, model.files_missing) for model in accepted] == [(2, 0), (2, 1)]
    assert inspect_registry(sample_stores, INSPECTOR) == (), "files that were missing are accepted as missing"


def test_the_production_version_as_found_is_the_rival_and_a_rollback_returns_to_it(
    sample_stores: Stores, theirs: PlainRegistry, scientist: Actor, manager: Actor, manager2: Actor
) -> None:
    sample_stores.settings.policies["churn"] = POLICY
    accept_registry(sample_stores, manager, reason="as found")
    model = theirs.files_of("churn", 2)
    better = theirs.version("churn", metrics={"f1": 0.85}, files=model)
    worse = preview_gates(sample_stores, scientist, _key("churn", 3), Stage.PRODUCTION)
    assert worse.gates[0].detail == "f1 is 0.75, and 0.8 for churn/2; higher is better."
    asked = request_promotion(sample_stores, scientist, model="churn", version=better, to=Stage.PRODUCTION, reason="r")
    with pytest.raises(Refused):
        approve(sample_stores, scientist, asked.id, reason="r")
    assert {gate.name: gate.passed for gate in asked.gates} == {
        "f1 not worse than Production": True,
        "no high finding open": True,
        "artifact runs no code on load": True,
    }
    approve(sample_stores, manager, asked.id, reason="better")
    assert list_rollback_targets(sample_stores, manager, "churn") == {3: False, 2: False}
    done = roll_back(sample_stores, manager, "churn", reason="complaints")
    assert (done.version, done.status, sample_stores.models.version(_key("churn", 2)).stage) == (
        2,
        RequestStatus.APPROVED,
        Stage.PRODUCTION,
    )
    assert [gate.name for gate in done.gates] == [
        "no high finding open",
        "unchanged since it was accepted",
        "artifact loads",
    ]
    review = sample_stores.findings.get(done.id)
    assert "was in Production when the model was taken over" in review.found
    close_finding(sample_stores, manager2, review.id, reason="fine")
    assert told(inspect_registry(sample_stores, INSPECTOR)) == set()


def test_a_rollback_to_files_that_were_replaced_since_the_acceptance_is_refused(
    sample_stores: Stores, theirs: PlainRegistry, manager: Actor
) -> None:
    accept_registry(sample_stores, manager, reason="as found")
    theirs.move("churn", 2, "Archived")
    (theirs.files_of("churn", 2) / "extra.bin").write_text("x")
    with pytest.raises(GatesFailed, match="not those that manager accepted"):
        roll_back(sample_stores, manager, "churn", to=2, reason="back")


def test_archiving_production_outside_does_not_avoid_the_comparison(
    sample_stores: Stores, theirs: PlainRegistry, scientist: Actor, manager: Actor
) -> None:
    sample_stores.settings.policies["churn"] = POLICY
    accept_registry(sample_stores, manager, reason="as found")
    theirs.move("churn", 2, "Archived")
    preview = preview_gates(sample_stores, scientist, _key("churn", 3), Stage.PRODUCTION)
    assert preview.gates[0].detail == "f1 is 0.75, and 0.8 for churn/2 (last in Production); higher is better."


def test_gates_do_not_block_a_model_that_is_not_taken_over_and_its_decision_takes_it_over(
    sample_stores: Stores, theirs: PlainRegistry, scientist: Actor, manager: Actor
) -> None:
    sample_stores.settings.policies["churn"] = POLICY
    inspect_registry(sample_stores, INSPECTOR)
    number = theirs.version("churn", metrics={"f1": 0.85}, files=theirs.files_of("churn", 2))
    asked = request_promotion(sample_stores, scientist, model="churn", version=number, to=Stage.PRODUCTION, reason="r")
    approve(sample_stores, manager, asked.id, reason="better")
    assert untaken(sample_stores) == ["fraud"]
    assert inspect_registry(sample_stores, INSPECTOR) == (), "the gap at 1 was there before"
    assert inspect_registry(sample_stores, INSPECTOR) == ()


def test_the_past_the_lineage_and_the_dossier_show_the_acceptance(
    sample_stores: Stores, theirs: PlainRegistry, manager: Actor, auditor: Actor
) -> None:
    inspect_registry(sample_stores, INSPECTOR)
    before = sample_stores.audit.search(limit=1)[0].sequence
    accept_registry(sample_stores, manager, reason="reviewed")
    after = sample_stores.audit.search(limit=1)[0].sequence
    then = state_at(sample_stores, auditor, moment_of_event(sample_stores, before)).version(_key("churn", 2))
    now = state_at(sample_stores, auditor, moment_of_event(sample_stores, after)).version(_key("churn", 2))
    assert then is not None
    assert then.decision is None
    assert now is not None
    assert now.decision is not None
    assert (now.stage, now.decision.is_acceptance, now.decision.decided_by, now.decision.reason) == (
        Stage.PRODUCTION,
        True,
        ("manager",),
        "reviewed",
    )
    graph = lineage_of_model(sample_stores, auditor, _key("churn", 2))
    (node,) = [node for node in graph.nodes if node.id.startswith("acceptance")]
    assert (node.label, node.detail["accepted by"]) == ("Production: accepted as found", "manager")
    dossier = build_dossier(collect_evidence(sample_stores, auditor, _key("churn", 2)))
    (decisions,) = [section for section in dossier.sections if section.title == "Decisions"]
    assert "manager accepted the state as found on " in decisions.paragraphs[0]
    assert "stage Production: reviewed" in decisions.paragraphs[0]


def test_a_job_accepts_and_a_second_one_is_refused_while_it_runs(
    sample_stores: Stores, theirs: PlainRegistry, manager: Actor
) -> None:
    from core.features.jobs.run_job import run_service

    job = submit_acceptance(sample_stores, manager, reason="as found")
    with pytest.raises(AlreadyDecided, match=job.id):
        submit_acceptance(sample_stores, manager, reason="again")
    result = run_service(sample_stores, manager, job.kind, job.arguments, Silent(), job=job)
    assert result == {"models": 2, "versions": 5}


def test_a_store_of_artifacts_that_cannot_be_read_here_does_not_stop_the_acceptance(
    sample_stores: Stores, theirs: PlainRegistry, manager: Actor
) -> None:
    client = MlflowClient(sample_stores.settings.tracking_uri)
    run = client.create_run(theirs.experiment)
    client.set_terminated(run.info.run_id)
    client.create_registered_model("far")
    client.create_model_version("far", "nosuchstore://bucket/model", run.info.run_id)
    theirs.move("far", 1, "Production")
    (accepted,) = accept_registry(sample_stores, manager, models=["far"], reason="as found")
    assert (accepted.files_recorded, accepted.files_missing) == (0, 1)
    assert inspect_registry(sample_stores, INSPECTOR) == ()
    assert inspect_registry(sample_stores, INSPECTOR) == ()


@pytest.mark.slow
def test_a_registry_of_94_models_is_quiet_before_and_after_its_acceptance(
    stores: Stores, tmp_path: Path, manager: Actor, auditor: Actor
) -> None:
    registry = PlainRegistry(stores.settings.tracking_uri, tmp_path / "artifacts")
    for number in range(94):
        for stage in ("Archived", "Production", "Staging"):
            registry.version(f"model_{number:02}", stage=stage, files="weights" if number % 4 else None)
        registry.client.set_registered_model_alias(f"model_{number:02}", "champion", "2")
    assert inspect_registry(stores, INSPECTOR) == ()
    assert {d.kind for d in find_differences(stores, auditor)} == {"not taken over yet"}
    accepted = accept_registry(stores, manager, reason="as found")
    assert (len(accepted), sum(model.versions for model in accepted)) == (94, 282)
    assert sum(model.files_recorded + model.files_missing for model in accepted) == 188
    assert inspect_registry(stores, INSPECTOR) == ()
    registry.move("model_07", 2, "Archived")
    assert told(inspect_registry(stores, INSPECTOR)) == {("stage differs", "model_07/2")}
    assert stores.audit.verify().ok
