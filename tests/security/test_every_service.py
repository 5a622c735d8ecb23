"""Every service that acts for somebody × every role: done or refused as the table of tests/core says, and recorded."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import core.features
from core.access.permissions import Action
from core.entities import Actor, ModelVersionKey, Recipe, Role, Severity, Stage, Task
from core.errors import CoreError, Forbidden
from core.features.admin import sign_in, tokens
from core.features.data import browse, export_rows, ingest
from core.features.evidence import export_evidence, search_events, sign_head
from core.features.head_to_head import comparison_of_check, evaluate, head_to_head
from core.features.history import (
    as_of,
    findings_as_of,
    lineage_as_of,
    requests_as_of,
    stage_timeline,
    training_as_of,
)
from core.features.history.moment import Moment, moment_at
from core.features.jobs import jobs, run_job, schedules
from core.features.kpi_change import what_differs, why_moved
from core.features.lineage import build_graph, impact, origin, trained_on
from core.features.monitoring import findings, overview, reconcile
from core.features.notifications import status
from core.features.open_requests import pending_for, present_gates
from core.features.promotion import decide, request_promotion, roll_back, rollback_checks
from core.features.runs import compare, compare_versions, edit_model, models, pictures, runs, search
from core.features.scoring import batch_rows, batches, score
from core.features.takeover import accept_registry, acceptances
from core.features.training import recipe_projects, recipes, reproduce, train
from core.jobs.progress import Silent
from tests.core.test_permissions import TABLE
from tests.security.ground import MODEL, RECIPE, ROLES, Ground, built_ground, filled, person  # noqa: F401 — a fixture
from tests.security.ground import TABLE as IRIS

KEY = ModelVersionKey(model=MODEL, version=1)
UNKNOWN = ModelVersionKey(model=MODEL, version=99)
NOW = datetime.now(UTC)
Call = Callable[[Ground, Actor], Any]


def moment(ground: Ground) -> Moment:
    """Tomorrow, after everything that the ground recorded."""
    return moment_at(ground.stores, NOW + timedelta(days=1))


# Each service with its action and a call. What takes long (training, loading) is asked of what is not there: that
# is told only to those who may.
SERVICES: dict[str, tuple[str, Call]] = {
    "as_of.state_at": ("model.read", lambda g, a: as_of.state_at(g.stores, a, moment(g))),
    "findings_as_of.findings_at": ("reconcile.read", lambda g, a: findings_as_of.findings_at(g.stores, a, moment(g))),
    "findings_as_of.show_finding_at": (
        "reconcile.read",
        lambda g, a: findings_as_of.show_finding_at(g.stores, a, g.finding, moment(g)),
    ),
    "training_as_of.jobs_at": ("job.read", lambda g, a: training_as_of.jobs_at(g.stores, a, moment(g), kind="train")),
    "training_as_of.schedules_at": ("job.read", lambda g, a: training_as_of.schedules_at(g.stores, a, moment(g))),
    "training_as_of.recipes_at": ("run.read", lambda g, a: training_as_of.recipes_at(g.stores, a, moment(g))),
    "requests_as_of.requests_at": ("promotion.read", lambda g, a: requests_as_of.requests_at(g.stores, a, moment(g))),
    "lineage_as_of.lineage_at": (
        "lineage.read",
        lambda g, a: lineage_as_of.lineage_at(g.stores, a, KEY, moment(g)),
    ),
    "stage_timeline.stage_timeline": (
        "model.read",
        lambda g, a: stage_timeline.stage_timeline(g.stores, a, MODEL),
    ),
    "stage_timeline.stage_timelines": ("model.read", lambda g, a: stage_timeline.stage_timelines(g.stores, a)),
    "sign_head.sign_head": ("audit.export", lambda g, a: sign_head.sign_head(g.stores, a)),
    "sign_head.public_key": ("audit.read", lambda g, a: sign_head.public_key(g.stores, a)),
    "sign_head.verify_audit_log": ("audit.verify", lambda g, a: sign_head.verify_audit_log(g.stores, a, [])),
    "browse.list_tables": ("data.read", lambda g, a: browse.list_tables(g.stores, a)),
    "browse.table_history": ("data.read", lambda g, a: browse.table_history(g.stores, a, IRIS)),
    "browse.table_snapshots": ("data.read", lambda g, a: browse.table_snapshots(g.stores, a, IRIS)),
    "browse.show_version": ("data.read", lambda g, a: browse.show_version(g.stores, a, IRIS, 0)),
    "browse.compare_versions": ("data.read", lambda g, a: browse.compare_versions(g.stores, a, IRIS, 0, 1)),
    "browse.query": ("data.query", lambda g, a: browse.query(g.stores, a, f"SELECT 1 FROM {IRIS}")),
    "search.field_names": ("run.read", lambda g, a: search.field_names(g.stores, a, search.RunQuery())),
    "search.list_model_names": ("run.read", lambda g, a: search.list_model_names(g.stores, a)),
    "search.search_runs": ("run.read", lambda g, a: search.search_runs(g.stores, a)),
    "runs.metric_curves": ("run.read", lambda g, a: runs.metric_curves(g.stores, a, str(g.batch.run_id), ["f1"])),
    "runs.list_experiments": ("run.read", lambda g, a: runs.list_experiments(g.stores, a)),
    "compare.compare_runs": ("run.read", lambda g, a: compare.compare_runs(g.stores, a, [str(g.batch.run_id)])),
    "compare_versions.compare_versions": (
        "model.read",
        lambda g, a: compare_versions.compare_versions(g.stores, a, KEY, UNKNOWN),
    ),
    "edit_model.show_texts": ("model.read", lambda g, a: edit_model.show_texts(g.stores, a, MODEL)),
    "edit_model.describe": (
        "model.edit",
        lambda g, a: edit_model.describe(g.stores, a, MODEL, description=f"by {a.name}", reason="r"),
    ),
    "edit_model.set_tag": (
        "model.edit",
        lambda g, a: edit_model.set_tag(g.stores, a, MODEL, "owner", a.name, version=1, reason="r"),
    ),
    "edit_model.remove_tag": (
        "model.edit",
        lambda g, a: edit_model.remove_tag(g.stores, a, MODEL, "owner", version=1, reason="r"),
    ),
    "request_promotion.list_requests": ("promotion.read", lambda g, a: request_promotion.list_requests(g.stores, a)),
    "rollback_checks.list_rollback_targets": (
        "promotion.read",
        lambda g, a: rollback_checks.list_rollback_targets(g.stores, a, MODEL),
    ),
    "request_promotion.preview_gates": (
        "promotion.read",
        lambda g, a: request_promotion.preview_gates(g.stores, a, KEY, Stage.STAGING),
    ),
    "status.list_channels": ("settings.read", lambda g, a: status.list_channels(g.stores, a)),
    "status.send_test": ("notification.send", lambda g, a: status.send_test(g.stores, a, "none")),
    "present_gates.present_gates": ("promotion.read", lambda g, a: present_gates.present_gates(g.stores, a, g.request)),
    "present_gates.present_gates_of": (
        "promotion.read",
        lambda g, a: present_gates.present_gates_of(g.stores, a, [g.request]),
    ),
    "request_promotion.request_promotion": (
        "promotion.request",
        lambda g, a: request_promotion.request_promotion(
            g.stores, a, model=MODEL, version=2, to=Stage.STAGING, reason="r"
        ),
    ),
    "decide.approve": ("promotion.decide", lambda g, a: decide.approve(g.stores, a, g.request.id, reason="r")),
    "request_promotion.count_decisions": (
        "promotion.read",
        lambda g, a: request_promotion.count_decisions(g.stores, a, MODEL),
    ),
    "request_promotion.list_approvals": (
        "promotion.read",
        lambda g, a: request_promotion.list_approvals(g.stores, a, g.request),
    ),
    "decide.reject": ("promotion.decide", lambda g, a: decide.reject(g.stores, a, g.request.id, reason="r")),
    "roll_back.roll_back": (
        "promotion.rollback",
        lambda g, a: roll_back.roll_back(g.stores, a, MODEL, to=99, reason="r"),
    ),
    "roll_back.preview_rollback": (
        "promotion.read",
        lambda g, a: roll_back.preview_rollback(g.stores, a, MODEL, to=99),
    ),
    "pending_for.latest_change": ("promotion.read", lambda g, a: pending_for.latest_change(g.stores, a)),
    "pending_for.pending_for": ("promotion.read", lambda g, a: pending_for.pending_for(g.stores, a)),
    "export_evidence.export_dossier": (
        "audit.export",
        lambda g, a: export_evidence.export_dossier(g.stores, a, KEY, as_="html"),
    ),
    "export_evidence.verify_bundle": (
        "audit.verify",
        lambda g, a: export_evidence.verify_bundle(g.stores, a, Path("none.zip")),
    ),
    "export_evidence.export_bundle": ("audit.export", lambda g, a: export_evidence.export_bundle(g.stores, a, UNKNOWN)),
    "findings.list_findings": ("reconcile.read", lambda g, a: findings.list_findings(g.stores, a)),
    "findings.last_inspection": ("reconcile.read", lambda g, a: findings.last_inspection(g.stores, a)),
    "findings.show_finding": ("reconcile.read", lambda g, a: findings.show_finding(g.stores, a, g.finding)),
    "findings.inspect_registry": ("reconcile.read", lambda g, a: findings.inspect_registry(g.stores, a)),
    "findings.open_finding": (
        "finding.open",
        lambda g, a: findings.open_finding(g.stores, a, subject="m", detail="d", severity=Severity.LOW),
    ),
    "findings.assign_finding": (
        "finding.open",
        lambda g, a: findings.assign_finding(
            g.stores, a, g.finding, owner="ann", due=NOW + timedelta(days=1), reason="r"
        ),
    ),
    "findings.close_finding": (
        "reconcile.resolve",
        lambda g, a: findings.close_finding(g.stores, a, g.finding, reason="r"),
    ),
    "findings.close_findings": (
        "reconcile.resolve",
        lambda g, a: findings.close_findings(g.stores, a, [g.finding], reason="r"),
    ),
    "acceptances.list_untaken": ("reconcile.read", lambda g, a: acceptances.list_untaken(g.stores, a)),
    "accept_registry.accept_registry": (
        "registry.accept",
        lambda g, a: accept_registry.accept_registry(g.stores, a, reason="r"),
    ),
    "accept_registry.submit_acceptance": (
        "registry.accept",
        lambda g, a: accept_registry.submit_acceptance(g.stores, a, reason="r"),
    ),
    "sign_in.allow_demo": ("settings.write", lambda g, a: sign_in.allow_demo(g.stores, a, reason="r")),
    "ingest.preview_file": (
        "data.ingest",
        lambda g, a: ingest.preview_file(g.stores, a, table=IRIS, path=g.file, name="more.csv"),
    ),
    "ingest.ingest_file": (
        "data.ingest",
        lambda g, a: ingest.ingest_file(g.stores, a, table="more", path=g.file, name="more.csv"),
    ),
    "ingest.ingest_data": (
        "data.ingest",
        lambda g, a: ingest.ingest_data(g.stores, a, table="rows", data=pa.table({"n": [1]}), source="test"),
    ),
    "jobs.count_jobs": ("job.read", lambda g, a: jobs.count_jobs(g.stores, a)),
    "jobs.list_jobs": ("job.read", lambda g, a: jobs.list_jobs(g.stores, a)),
    "jobs.show_job": ("job.read", lambda g, a: jobs.show_job(g.stores, a, g.job)),
    "jobs.job_lines": ("job.read", lambda g, a: jobs.job_lines(g.stores, a, g.job)),
    "jobs.cancel_job": ("job.cancel", lambda g, a: jobs.cancel_job(g.stores, a, g.job)),
    "pictures.version_pictures": ("model.read", lambda g, a: pictures.version_pictures(g.stores, a, KEY)),
    "pictures.run_pictures": ("run.read", lambda g, a: pictures.run_pictures(g.stores, a, str(g.batch.run_id))),
    "models.list_models": ("model.read", lambda g, a: models.list_models(g.stores, a)),
    "models.list_versions": ("model.read", lambda g, a: models.list_versions(g.stores, a)),
    "models.find_by_alias": ("model.read", lambda g, a: models.find_by_alias(g.stores, a, MODEL, "production")),
    "models.show_model_version": ("model.read", lambda g, a: models.show_model_version(g.stores, a, KEY)),
    "models.read_model_file": ("model.read", lambda g, a: models.read_model_file(g.stores, a, KEY, "MLmodel")),
    "origin.check_batch": ("lineage.read", lambda g, a: origin.check_batch(g.stores, a, g.batch)),
    "origin.check_content": ("lineage.read", lambda g, a: origin.check_content(g.stores, a, KEY)),
    "origin.origin_of_model": ("lineage.read", lambda g, a: origin.origin_of_model(g.stores, a, KEY)),
    "overview.overview": ("model.read", lambda g, a: overview.overview(g.stores, a)),
    "run_job.run_service": (
        "run.train",
        lambda g, a: run_job.run_service(g.stores, a, "train", {"recipe": "none"}, Silent()),
    ),
    "recipe_projects.project_parameters": (
        "run.read",
        lambda g, a: recipe_projects.project_parameters(g.stores, a, _recipe()),
    ),
    "search_events.search_audit": ("audit.read", lambda g, a: search_events.search_audit(g.stores, a)),
    "search_events.show_event": ("audit.read", lambda g, a: search_events.show_event(g.stores, a, 1)),
    "search_events.export_audit": (
        "audit.export",
        lambda g, a: search_events.export_audit(g.stores, a, g.home.parent / "log.csv"),
    ),
    "reconcile.find_differences": ("reconcile.read", lambda g, a: reconcile.find_differences(g.stores, a)),
    "reconcile.resolve_request": (
        "reconcile.resolve",
        lambda g, a: reconcile.resolve_request(g.stores, a, g.request.id, reason="r"),
    ),
    "reconcile.close_action": (
        "reconcile.resolve",
        lambda g, a: reconcile.close_action(g.stores, a, g.died, reason="r"),
    ),
    "reproduce.submit_reproduction": (
        "model.reproduce",
        lambda g, a: reproduce.submit_reproduction(g.stores, a, KEY),
    ),
    "reproduce.reproduce": ("model.reproduce", lambda g, a: reproduce.reproduce(g.stores, a, UNKNOWN)),
    "head_to_head.submit_head_to_head": (
        "model.compare",
        lambda g, a: head_to_head.submit_head_to_head(g.stores, a, KEY, UNKNOWN, table=IRIS),
    ),
    "head_to_head.head_to_head": (
        "model.compare",
        lambda g, a: head_to_head.head_to_head(g.stores, a, KEY, UNKNOWN, table=IRIS),
    ),
    "head_to_head.past_comparisons": ("model.read", lambda g, a: head_to_head.past_comparisons(g.stores, a, KEY)),
    "comparison_of_check.comparison_of_check": (
        "model.read",
        lambda g, a: comparison_of_check.comparison_of_check(g.stores, a, KEY, g.request.at_request),
    ),
    "evaluate.submit_evaluation": (
        "model.evaluate",
        lambda g, a: evaluate.submit_evaluation(g.stores, a, UNKNOWN, table=IRIS),
    ),
    "evaluate.evaluate": ("model.evaluate", lambda g, a: evaluate.evaluate(g.stores, a, UNKNOWN, table=IRIS)),
    "evaluate.past_evaluations": ("model.read", lambda g, a: evaluate.past_evaluations(g.stores, a, KEY)),
    "what_differs.what_differs": ("model.read", lambda g, a: what_differs.what_differs(g.stores, a, KEY, UNKNOWN)),
    "why_moved.submit_why_moved": (
        "model.explain",
        lambda g, a: why_moved.submit_why_moved(g.stores, a, KEY, UNKNOWN),
    ),
    "why_moved.why_moved": ("model.explain", lambda g, a: why_moved.why_moved(g.stores, a, KEY, UNKNOWN)),
    "why_moved.past_answers": ("model.read", lambda g, a: why_moved.past_answers(g.stores, a, KEY)),
    "reproduce.past_reproductions": ("model.read", lambda g, a: reproduce.past_reproductions(g.stores, a, KEY)),
    "runs.show_run": ("run.read", lambda g, a: runs.show_run(g.stores, a, str(g.batch.run_id))),
    "schedules.list_triggers": ("job.read", lambda g, a: schedules.list_triggers(g.stores, a)),
    "schedules.save_trigger": (
        "trigger.write",
        lambda g, a: schedules.save_trigger(g.stores, a, recipe=RECIPE, cron="0 4 * * *"),
    ),
    "schedules.delete_trigger": (
        "trigger.write",
        lambda g, a: schedules.delete_trigger(g.stores, a, g.trigger),
    ),
    "score.submit_scoring": (
        "prediction.score",
        lambda g, a: score.submit_scoring(g.stores, a, model=MODEL, table=IRIS, into="p", version=0),
    ),
    "score.score": (
        "prediction.score",
        lambda g, a: score.score(g.stores, a, model="none", table=IRIS, version=0),
    ),
    "batches.list_batches": ("prediction.read", lambda g, a: batches.list_batches(g.stores, a)),
    "batches.find_batch": ("prediction.read", lambda g, a: batches.find_batch(g.stores, a, g.batch.batch_id)),
    "batch_rows.batch_page": (
        "prediction.read",
        lambda g, a: batch_rows.batch_page(g.stores, a, g.batch, offset=0, limit=1),
    ),
    "batch_rows.batch_sample": ("prediction.read", lambda g, a: batch_rows.batch_sample(g.stores, a, g.batch, most=1)),
    "export_rows.version_csv": ("data.read", lambda g, a: export_rows.version_csv(g.stores, a, IRIS, 0)),
    "export_rows.batch_csv": ("prediction.read", lambda g, a: export_rows.batch_csv(g.stores, a, g.batch)),
    "tokens.issue_token": (
        "settings.write",
        lambda g, a: tokens.issue_token(g.stores, a, name="n", role=Role.AUDITOR, days=1),
    ),
    "tokens.list_tokens": ("settings.write", lambda g, a: tokens.list_tokens(g.stores, a)),
    "tokens.revoke_token": ("settings.write", lambda g, a: tokens.revoke_token(g.stores, a, g.token)),
    "build_graph.lineage_of_model": ("lineage.read", lambda g, a: build_graph.lineage_of_model(g.stores, a, KEY)),
    "build_graph.lineage_of_every_version": (
        "lineage.read",
        lambda g, a: build_graph.lineage_of_every_version(g.stores, a, MODEL),
    ),
    "build_graph.lineage_of_batch": (
        "lineage.read",
        lambda g, a: build_graph.lineage_of_batch(g.stores, a, g.batch.batch_id),
    ),
    "impact.impact_of_version": ("lineage.read", lambda g, a: impact.impact_of_version(g.stores, a, IRIS, 0)),
    "recipes.list_recipes": ("run.read", lambda g, a: recipes.list_recipes(g.stores, a)),
    "recipes.save_recipe": ("recipe.write", lambda g, a: recipes.save_recipe(g.stores, a, _recipe())),
    "train.submit_training": ("run.train", lambda g, a: train.submit_training(g.stores, a, recipe=RECIPE)),
    "train.train": ("run.train", lambda g, a: train.train(g.stores, a, recipe="none")),
    "trained_on.versions_trained": ("model.read", lambda g, a: trained_on.versions_trained(g.stores, a, IRIS)),
}
# Parts of the above, called by them after they have asked; none is reached by a page or a command of its own.
INSIDE = {
    "apply_decision.begin_decision": "by decide and reconcile, inside their record",
    "request_promotion.find_request": "asks for the action that it is given, where the request is not there",
    "collect.collect_evidence": "by evidence, inside its record",
    "four_eyes.refuse_own_request": "by decide, inside its record",
    "four_eyes.refuse_own_rollback": "by findings, inside its record",
    "four_eyes.refuse_second_approval": "by decide, inside its record",
    "tokens.token_owner": "by schedule, inside its record; asks what the token may do",
    "tokens.require_valid_token": "asks about the token, not about a role",
}


def _recipe() -> Recipe:
    return Recipe(
        name="mine", model="mine", task=Task.CLASSIFICATION, table=IRIS, target="species", estimator="random_forest"
    )


def found() -> set[str]:
    """Every public function of core.features that is told who acts."""
    names = set()
    for part in pkgutil.walk_packages(core.features.__path__, "core.features."):
        module = importlib.import_module(part.name)
        for name, thing in vars(module).items():
            is_own = inspect.isfunction(thing) and thing.__module__ == module.__name__ and not name.startswith("_")
            if is_own and "actor" in inspect.signature(thing).parameters:
                names.add(f"{part.name.rpartition('.')[2]}.{name}")
    return names


@pytest.fixture(scope="module")
def ground(built_ground: Path, sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Ground:  # noqa: F811
    return filled(built_ground, tmp_path_factory.mktemp("services") / "home")


def test_the_table_names_every_service_that_acts_for_somebody() -> None:
    assert set(SERVICES) | set(INSIDE) == found()
    assert not set(SERVICES) & set(INSIDE)


def test_the_table_has_every_action() -> None:
    assert {action for action, _ in SERVICES.values()} == {action.value for action in Action}


def parts() -> list[str]:
    """One test for each module of services."""
    return sorted({name.split(".")[0] for name in SERVICES})


@pytest.mark.parametrize("part", parts())
def test_a_service_does_what_the_table_says(ground: Ground, part: str) -> None:
    for name in (one for one in SERVICES if one.split(".")[0] == part):
        action, call = SERVICES[name]
        allowed = dict(zip(ROLES, TABLE[action].split(), strict=True))
        # Who is refused first: what the others do cannot be done twice.
        for role in sorted(ROLES, key=allowed.__getitem__):
            before = ground.stores.audit.head()[0]
            if allowed[role] == "x":
                try:
                    call(ground, person(role))
                except Forbidden as error:
                    pytest.fail(f"{name} is refused to {role}: {error}")
                except CoreError:
                    continue  # refused for another reason, which only somebody gets to hear who may ask
            else:
                with pytest.raises(Forbidden, match=f"may not do {action}"):
                    call(ground, person(role))
                new = ground.stores.audit.events(after_sequence=before)
                assert [(e.actor, e.action, e.outcome.value) for e in new] == [(role, action, "denied")], name
