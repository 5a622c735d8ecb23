"""One workspace in which everything that an action needs is there: for the tables of actions and roles."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, Outcome, PredictionBatch, PromotionRequest, Role, Severity, Stage
from core.features.jobs.schedules import save_trigger
from core.features.monitoring.findings import open_finding
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.scoring.batches import list_batches
from core.features.scoring.score import score
from core.features.stores import Stores
from core.settings import load_settings
from tests.conftest import copy_sample

ROLES = ("auditor", "scientist", "manager", "admin")
MODEL, TABLE, RECIPE = "iris_classifier", "iris_training_data", "iris_classifier"
OTHER_MODEL = "diabetes_progression"


def person(role: str) -> Actor:
    """Somebody of that role, named after it."""
    return Actor(name=role, roles=frozenset({Role(role)}), channel="test")


@dataclass(frozen=True)
class Ground:
    """The stores and what stands in them."""

    stores: Stores
    home: Path
    request: PromotionRequest
    batch: PredictionBatch
    job: str
    finding: str
    trigger: str
    died: str
    token: str
    file: Path


@pytest.fixture(scope="session")
def built_ground(sample_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 in Production, a batch, and an open request for version 3; of another model a version to go back to."""
    home = tmp_path_factory.mktemp("ground") / "home"
    copy_sample(sample_home, home)
    stores = open_stores(load_settings(home=home))
    for model, version in ((MODEL, 1), (OTHER_MODEL, 2)):
        asked = request_promotion(
            stores, person("scientist"), model=model, version=version, to=Stage.PRODUCTION, reason="the first"
        )
        approve(stores, person("manager"), asked.id, reason="a start")
    score(stores, person("scientist"), model=MODEL, table=TABLE, version=0)
    ann = Actor(name="ann", roles=frozenset({Role.SCIENTIST}), channel="test")
    request_promotion(stores, ann, model=MODEL, version=3, to=Stage.PRODUCTION, reason="more rows")
    return home


def filled(built: Path, home: Path) -> Ground:
    """A copy at *home*, with a job that runs, a finding, a schedule, a token and an action that died."""
    if not home.exists():
        shutil.copytree(built, home)
    stores = open_stores(load_settings(home=home, database_url=None))
    scientist = person("scientist")
    job = stores.jobs.submit("train", {"recipe": RECIPE, "table": TABLE, "version": 0}, scientist)
    stores.jobs.claim("test")
    finding = open_finding(stores, person("auditor"), subject=MODEL, detail="look into it", severity=Severity.LOW)
    save_trigger(stores, scientist, recipe=RECIPE, cron="0 3 * * *", reason="nightly")
    died = stores.audit.append(scientist, "run.train", "died", Outcome.INTENT, operation="0" * 32)
    now = datetime.now(UTC)
    made = stores.tokens.issue(
        name="nightly", role=Role.SCIENTIST, issued_by="admin", now=now, expires=now + timedelta(days=1)
    )
    file = home.parent / "more.csv"
    file.write_text("sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm,species\n5.1,3.5,1.4,0.2,setosa\n")
    return Ground(
        stores=stores,
        home=home,
        request=next(one for one in stores.decisions.list() if one.status.value == "open"),
        batch=list_batches(stores, scientist)[0],
        job=job.id,
        finding=finding.id,
        trigger=stores.jobs.triggers.list()[0].id,
        died=died.operation,
        token=made[0].id,
        file=file,
    )
