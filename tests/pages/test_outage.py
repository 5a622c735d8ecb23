"""MLflow in trouble, seen through the pages: they say so and end, a request stays open, a decision is never lost."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.bootstrap import open_stores
from core.entities import Actor, PromotionRequest, RequestStatus, Stage
from core.features.monitoring.reconcile import find_differences
from core.features.promotion.request_promotion import request_promotion
from core.features.scoring.score import score
from core.features.stores import Stores
from core.features.training.train import submit_training
from core.registry import connection
from core.settings import load_settings
from tests.conftest import copy_sample
from tests.contract.gateway import TROUBLES, Gateway, gateway
from tests.contract.mlflow_server import mlflow_server
from tests.features.dying import expire_locks
from tests.pages.conftest import Opened, said

pytestmark = pytest.mark.slow

MODEL, TABLE = "iris_classifier", "iris_training_data"
# MLflow's own client would wait for minutes (246 s where nothing listens, 1,207 s where nothing answers).
LONGEST_S = 100
# How long an outage that cost time is reported again without a call.
DOWN_S = 0.3


@pytest.fixture(scope="module")
def server(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server over a copy of the sample's store."""
    home = tmp_path_factory.mktemp("served") / "home"
    copy_sample(sample_home, home)
    with mlflow_server(home, backend=f"sqlite:///{home / 'mlflow.db'}") as uri:
        yield uri


@pytest.fixture
def between(server: str, sample: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """The workspace of the test, with MLflow behind a gateway."""
    with gateway(server) as made:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", made.uri)
        # The longer of both holds: a working server has time for its answers, one in trouble is not waited for.
        monkeypatch.setenv("MODELLEDGER_MLFLOW_TIMEOUT_S", "1")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        monkeypatch.setattr(connection, "_DOWN_S", DOWN_S)
        yield made


@pytest.fixture
def stores(between: Gateway, sample: Path) -> Iterator[Stores]:
    """Before and after each test no version has a stage."""
    made = open_stores(load_settings(home=sample))
    yield made
    if between.trouble:
        end_of_the_trouble(between)
    changed = {v.version: Stage.NONE for v in made.models.versions(MODEL) if v.stage is not Stage.NONE}
    if changed:
        made.models.set_stages(MODEL, changed)


@pytest.fixture
def asked(stores: Stores, scientist: Actor) -> PromotionRequest:
    return request_promotion(stores, scientist, model=MODEL, version=3, to=Stage.PRODUCTION, reason="please")


def press(test: AppTest, label: str, reason: str) -> AppTest:
    test.text_area[0].set_value(reason)
    next(button for button in test.button if button.label == label).click()
    return test.run(timeout=LONGEST_S)


def begin_trouble(between: Gateway, trouble: str, *, only: str = "", wait_s: int = 1) -> None:
    """The server is in trouble from now on, for paths that hold *only*; each answer is waited for *wait_s*."""
    between.trouble, between.only = trouble, only
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(wait_s)  # `between` restores the variable


def end_of_the_trouble(between: Gateway) -> None:
    between.trouble, between.only = None, ""
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "5"
    time.sleep(DOWN_S)


def unanswered(trouble: str) -> str:
    """A server that took the call is reported as slow, not as a wrong address."""
    return "did not answer within 1 s" if trouble in ("slow", "drips", "silent") else "does not answer"


def stages(stores: Stores) -> dict[int, str]:
    return {v.version: v.stage.value for v in stores.models.versions(MODEL)}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_pages_say_that_mlflow_does_not_answer_and_show_what_they_know(
    opened: Opened, between: Gateway, asked: PromotionRequest, trouble: str
) -> None:
    begin_trouble(between, trouble)
    for page, address in (
        ("overview", {}),
        ("models", {}),
        ("promotions", {"promotions_tab": "Roll back"}),
        ("promotions", {"promotions_tab": "Differences"}),
    ):
        test = opened(page, "manager", **address)
        assert not test.exception, page
        assert not test.error, page
        told = [warning.value for warning in test.warning]
        assert any(unanswered(trouble) in one and "try again" in one for one in told), (page, told)
    test = opened("promotions", "manager")
    assert not test.exception
    assert "classifier/3 for Production" in said(test)
    assert "Approve" in {button.label for button in test.button}


def test_pages_that_need_only_delta_go_on_showing_tables_and_past_batches(
    opened: Opened, between: Gateway, stores: Stores, scientist: Actor
) -> None:
    batch = score(stores, scientist, model=MODEL, model_version=2, table=TABLE, version=1, into="predictions")
    job = submit_training(stores, scientist, recipe=MODEL, version=0)
    begin_trouble(between, "503")
    for page, address, shown in (
        ("tables", {"tables_table": TABLE, "tables_version": "1"}, "50 of 100 rows are shown."),
        ("tables", {"tables_table": TABLE, "tables_tab": "History"}, "does not answer"),
        ("sql", {"sql_query": f"SELECT * FROM {TABLE} VERSION AS OF 0"}, f"50 rows · read from {TABLE}@0"),
        ("sql", {"sql_query": "SELECT * FROM predictions"}, "100 rows · read from predictions@0"),
        ("predictions", {}, "100 of 100 rows of predictions@0 are shown."),
        ("training", {"training_tab": "Jobs"}, ""),
        ("lineage", {"lineage_from": "Prediction batch"}, "Lineage as a table"),
    ):
        test = opened(page, "scientist", **address)
        assert not test.exception, page
        assert shown in said(test).replace("\\", ""), (page, said(test))
        told = " ".join(frame.value.to_csv() for frame in test.dataframe)
        assert MODEL in told or TABLE in told or "setosa" in told, (page, told)
        assert page != "training" or job.id in told
        if page in ("predictions", "lineage"):
            assert batch.batch_id in told or "predictions@0" in told, page
    test = opened("training", "scientist", training_recipe=MODEL)
    assert not test.exception
    assert "Train" in {button.label for button in test.button}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_approving_during_an_outage_leaves_the_request_open_and_works_after_it(
    opened: Opened, between: Gateway, stores: Stores, asked: PromotionRequest, auditor: Actor, trouble: str
) -> None:
    test = opened("promotions", "manager")
    begin_trouble(between, trouble)
    test = press(test, "Approve", "the numbers hold")
    assert not test.exception
    assert any(unanswered(trouble) in warning.value for warning in test.warning)
    assert stores.decisions.get(asked.id).status is RequestStatus.OPEN
    last = stores.audit.search(action="promotion.decide")[0]
    assert (last.actor, last.outcome.value) == ("manager", "failed")
    assert stores.audit.unfinished() == ()

    end_of_the_trouble(between)
    test = opened("promotions", "manager")
    test = press(test, "Approve", "the numbers hold")
    assert not test.exception
    assert stores.decisions.get(asked.id).status is RequestStatus.APPROVED
    assert stages(stores) == {1: "None", 2: "None", 3: "Production"}
    assert find_differences(stores, auditor) == ()


def test_a_registry_that_refuses_the_change_leaves_the_request_open(
    opened: Opened, between: Gateway, stores: Stores, asked: PromotionRequest
) -> None:
    begin_trouble(between, "403", only="transition-stage", wait_s=3)
    test = press(opened("promotions", "manager"), "Approve", "the numbers hold")
    assert any("MLflow refuses access" in error.value for error in test.error)
    assert stores.decisions.get(asked.id).status is RequestStatus.OPEN
    assert stages(stores) == {1: "None", 2: "None", 3: "None"}


@pytest.mark.parametrize(
    ("trouble", "done"),
    [("503", False), ("silent", False), ("done, not answered", True), ("drips", False), ("closed", False)],
)
def test_a_change_that_got_no_answer_is_unfinished_until_somebody_resolves_it(
    opened: Opened,
    between: Gateway,
    stores: Stores,
    asked: PromotionRequest,
    auditor: Actor,
    trouble: str,
    done: bool,
) -> None:
    # The calls before the change are answered: they have time for it.
    begin_trouble(between, trouble, only="transition-stage", wait_s=3)
    test = press(opened("promotions", "manager"), "Approve", "the numbers hold")
    assert not test.exception
    assert any("may have taken effect" in warning.value for warning in test.warning)
    assert stores.decisions.get(asked.id).status is RequestStatus.UNFINISHED

    end_of_the_trouble(between)
    test = opened("promotions", "manager")
    assert "the decision is unfinished" in said(test)
    expire_locks(stores)  # until then what got no answer may still be carried out
    test = press(test, "Resolve", "MLflow is back")
    assert not test.exception
    assert stores.decisions.get(asked.id).status is (RequestStatus.APPROVED if done else RequestStatus.OPEN)
    assert stages(stores)[3] == ("Production" if done else "None")
    assert find_differences(stores, auditor) == ()
    assert stores.audit.unfinished() == ()
