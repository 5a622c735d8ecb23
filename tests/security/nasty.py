"""A workspace in which everything that anybody may name, describe or give a reason for bears a text that would act."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from mlflow.tracking import MlflowClient

from core.bootstrap import open_stores
from core.delta.delta_rs.engine import DeltaRsEngine
from core.entities import Actor, ModelVersionKey, Recipe, Role, Severity, Stage, Table, Task
from core.features.admin.sample import iris_data
from core.features.admin.tokens import issue_token, revoke_token
from core.features.data.ingest import ingest_data, ingest_file
from core.features.monitoring.findings import inspect_registry, open_finding
from core.features.promotion.decide import approve, reject
from core.features.promotion.request_promotion import request_promotion
from core.features.scoring.score import score
from core.features.stores import Stores
from core.features.training.recipes import save_recipe
from core.features.training.train import train
from core.settings import load_settings
from tests.conftest import copy_sample

# By what each would do where it is not inert. HOST is asked for by none that is; OWNED is set by none that is.
HOST = "evil.example"
OWNED = "owned"
TEXTS = {
    "html": f'<img src=x onerror="window.{OWNED}=1"> <script>window.{OWNED}=1</script> <b>bold</b>',
    "svg": f"<svg onload=window.{OWNED}=1> <iframe src=//{HOST}> <a href='javascript:window.{OWNED}=1'>go</a>",
    "link": f"[click](https://{HOST}/l) ![pixel](https://{HOST}/p.png) <https://{HOST}/a>",
    "bare": f"https://{HOST}/x www.{HOST}/y mia@{HOST} mailto:mia@{HOST}",
    "directive": ":red[red] :blue-background[b] :green-badge[g] :small[s] :rainbow[r] :color[c]{foreground=red}",
    "icon": ":material/rocket_launch: :streamlit: :skull: :100: :shimmer[s] :help[h]",
    "icon_before_colon": ":skull",
    "math": r"$\frac{1}{2}$ $$x^2$$ \(y\) \[z\]",
    "block": "# heading\n\n- item\n\n> quote\n\n|a|b|\n|-|-|\n|1|2|\n\n```\ncode\n```\n\n---\n1. one",
    "inline": "**strong** *soft* ~~gone~~ `code` [^1] &lt;b&gt; a -> b <- c -- d >= e",
    "bidi": "user\u202egnp.exe\u202c \u2066isolated\u2069 zero\u200bwidth \u061c \ufeff tag\U000e0041",
    "control": "bell\x07 \x1b[31mred\x1b[0m \x1b]0;title\x07 back\x08\x08 \x9b31m",
    "formula": f'=HYPERLINK("https://{HOST}","click")',
    "plus": "+1+cmd|' /C calc'!A0",
    "minus": "-1+1",
    "at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "quotes": "\"double\" 'single' `tick` \\back\\ ;semi, comma %s {0} ${x}",
    "emoji": "👩\u200d🔬 ✔\ufe0f 👍🏽 Übermäßig 数据 مرحبا",
}
# What may stand where a control character is refused: people's names, tokens, models.
PRINTABLE = {kind: text for kind, text in TEXTS.items() if text.isprintable()}
TABLE = "iris_training_data"
MODEL = "iris_classifier"
# Folders of their own accord among the tables; the name of a model in MLflow; both without what they cannot hold.
FOLDERS = (f"`:red[t]` <img src=x onerror=window.{OWNED}=1> \u202egnp", f"=1+1 [l](j) <svg onload=window.{OWNED}=1>")
NAMED = f"=1+1 <img src=x onerror=window.{OWNED}=1> **m** [l](j) $x$ \u202egnp"
# Names of metrics may hold letters, digits and _-. :/ alone, which is enough for a picture.
METRIC = ":material/rocket_launch:"
KEY = ModelVersionKey(model=MODEL, version=3)


def build(sample_home: Path, home: Path) -> Stores:
    """A copy of the sample workspace at *home*, filled through the services, Delta and MLflow's own client."""
    copy_sample(sample_home, home)
    stores = open_stores(load_settings(home=home))
    scientist = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")
    manager = Actor(name="manager", roles=frozenset({Role.MANAGER}), channel="test")
    _tables(stores, scientist, home)
    _mlflow(stores)
    _flow(stores, scientist, manager)
    _people(stores)
    _jobs(stores, scientist)
    return stores


def _tables(stores: Stores, scientist: Actor, home: Path) -> None:
    """Reasons and file names of ingests, claims of foreign writers, names and values of columns, a table's name."""
    rows = iris_data().slice(0, 3)
    file = home.parent / "upload.csv"
    file.write_text(",".join(rows.column_names) + "\n" + "1,2,3,4,setosa\n", encoding="utf-8")
    for kind, text in TEXTS.items():
        if kind in ("html", "bidi", "formula"):
            ingest_file(stores, scientist, table=TABLE, path=file, name=f"{text}.csv", reason=text)
        else:
            ingest_data(stores, scientist, table=TABLE, data=rows.slice(0, 1), source=text, mode="append", reason=text)
    columns = {f"{text.replace(chr(10), ' ')} {n}": [1.0, 2.0, 3.0] for n, text in enumerate(TEXTS.values())}
    values = {"text": list(TEXTS.values())[:3]}
    table = Table(name="named", uri=str(home / "tables" / "columns"))
    DeltaRsEngine().write(table, pa.table(columns | values), mode="append", metadata=dict(list(TEXTS.items())))
    texts = {"number": list(range(len(TEXTS))), "text": list(TEXTS.values())}
    place = Table(name="texts", uri=str(home / "tables" / "texts"))
    for kind in ("bidi", "html"):
        DeltaRsEngine().write(place, pa.table(texts), mode="append", metadata={"modelledger.source": TEXTS[kind]})
    for name in FOLDERS:
        shutil.copytree(place.uri, home / "tables" / name)


def _mlflow(stores: Stores) -> None:
    """Runs, experiments, models and versions that somebody made in MLflow."""
    client = MlflowClient(stores.settings.tracking_uri)
    experiment = client.create_experiment(TEXTS["html"], artifact_location=str(stores.settings.artifact_root))
    client.create_registered_model(NAMED, description=TEXTS["html"])
    for kind, text in TEXTS.items():
        tags = {"mlflow.user": text, kind: text, "delta.table": text, "delta.version": "0"}
        run = client.create_run(experiment, run_name=text, tags=tags)
        client.log_param(run.info.run_id, "param", text)
        client.log_param(run.info.run_id, METRIC, text)
        for step in range(2):
            client.log_metric(run.info.run_id, METRIC, 0.5 + step, step=step)
        client.set_terminated(run.info.run_id)
        client.create_model_version(
            NAMED, source=f"{run.info.artifact_uri}/model", run_id=run.info.run_id, description=text, tags={kind: text}
        )
    client.set_registered_model_alias(NAMED, "-champion", "1")
    stores.models.set_stages(NAMED, {1: Stage.PRODUCTION})
    client.update_registered_model(MODEL, description=TEXTS["link"])
    for version, kind in ((1, "html"), (2, "directive"), (3, "icon")):
        client.update_model_version(MODEL, str(version), description=TEXTS[kind])


def _flow(stores: Stores, scientist: Actor, manager: Actor) -> None:
    """Requests, decisions and batches: every text is a reason of each, most are the name of somebody."""
    for kind, text in TEXTS.items():
        asker = replace(scientist, name=PRINTABLE.get(kind, "scientist"))
        decider = replace(manager, name=PRINTABLE.get(kind, "manager"))
        if asker == decider or asker.name == decider.name:
            decider = replace(manager, name=f"{decider.name}2")
        asked = request_promotion(stores, asker, model=MODEL, version=3, to=Stage.STAGING, reason=text)
        reject(stores, decider, asked.id, reason=text)
    asker = replace(scientist, name=TEXTS["link"])
    asked = request_promotion(stores, asker, model=MODEL, version=3, to=Stage.PRODUCTION, reason=TEXTS["html"])
    approve(stores, replace(manager, name=TEXTS["icon"]), asked.id, reason=TEXTS["icon"])
    score(stores, scientist, model=MODEL, table=TABLE, version=0, reason=TEXTS["formula"])
    # Learned from: columns and classes with names that would act, so that predictions bear them.
    classes = [TEXTS[kind] for kind in ("html", "formula", "bidi")]
    data = pa.table(
        {
            TEXTS["link"]: [float(n % 3) for n in range(60)],
            TEXTS["formula"]: [float(n % 3) + 0.1 * (n % 5) for n in range(60)],
            TEXTS["html"]: [classes[n % 3] for n in range(60)],
        }
    )
    ingest_data(stores, scientist, table="learned", data=data, source=TEXTS["svg"], reason=TEXTS["svg"])
    recipe = Recipe(
        name="learned",
        model="learned",
        task=Task.CLASSIFICATION,
        table="learned",
        target=TEXTS["html"],
        estimator="logistic_regression",
        description=TEXTS["directive"],
    )
    save_recipe(stores, scientist, recipe, reason=TEXTS["link"])
    train(stores, scientist, recipe="learned", reason=TEXTS["icon"])
    asked = request_promotion(stores, scientist, model="learned", version=1, to=Stage.PRODUCTION, reason="ask")
    approve(stores, manager, asked.id, reason=TEXTS["block"])
    score(
        stores,
        replace(scientist, name=TEXTS["html"]),
        model="learned",
        table="learned",
        version=0,
        into="learned_predictions",
    )
    request_promotion(
        stores, replace(scientist, name=TEXTS["bare"]), model=MODEL, version=1, to=Stage.STAGING, reason=TEXTS["bare"]
    )


def _people(stores: Stores) -> None:
    """Tokens and findings."""
    admin = Actor(name="admin", roles=frozenset({Role.ADMIN}), channel="test")
    auditor = Actor(name="auditor", roles=frozenset({Role.AUDITOR}), channel="test")
    for text in PRINTABLE.values():
        token, _ = issue_token(stores, replace(admin, name=text), name=text, role=Role.AUDITOR, days=30, reason=text)
        if len(text) % 2:
            revoke_token(stores, replace(admin, name=text), token.id, reason=text)
    for text in TEXTS.values():
        open_finding(stores, auditor, subject=text, detail=text, severity=Severity.LOW, owner=text)
    inspect_registry(stores, auditor)


def _jobs(stores: Stores, scientist: Actor) -> None:
    """A job for each text: its reason, a line of its log, its step and its error."""
    for text in TEXTS.values():
        arguments = {"recipe": MODEL, "table": text, "version": 0, "params": {}, "reason": text}
        job = stores.jobs.submit("train", arguments, replace(scientist, name=text))
        claimed = stores.jobs.claim("test")
        assert claimed is not None
        assert claimed.id == job.id
        stores.jobs.report(job.id, claimed.attempt, 0.5, text)
        stores.jobs.write_line(job.id, text)
        stores.jobs.fail(job.id, claimed.attempt, text)
    assert datetime.now(UTC) - stores.jobs.list(limit=1)[0].created < timedelta(hours=1)


@pytest.fixture
def home(nasty_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For the tests that import it: one workspace for all; what they add to its log is that they looked."""
    monkeypatch.setenv("MODELLEDGER_HOME", str(nasty_home))
    return nasty_home
