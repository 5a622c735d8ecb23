"""No secret comes out: canaries in every setting that holds one, failures that would tell them, all that is left."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from core.access.permissions import Action
from core.bootstrap import open_stores
from core.commands import options
from core.entities import Actor, ModelVersionKey, Outcome, Role, RunStatus, Severity, Stage, Trigger
from core.errors import CoreError
from core.features.admin.doctor import run_checks
from core.features.evidence.export_evidence import export_bundle, export_dossier
from core.features.evidence.search_events import export_audit
from core.features.monitoring.findings import close_finding, open_finding
from core.features.promotion.decide import approve, reject
from core.features.promotion.request_promotion import request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.stores import Stores
from core.jobs.worker import run_job
from core.learning.safety.child_process import process_environment
from core.registry.runs import failure_reason
from core.settings import load_settings
from tests.browser.conftest import ROOT, clean_environment, free_port
from tests.cli.conftest import Command, command  # noqa: F401 — a fixture, under its own name
from tests.pages.conftest import Opened, opened  # noqa: F401 — a fixture, under its own name
from tests.security.acting import protos

CANARY = "c4nary"
AUTH = f"""
[auth]
redirect_uri = "https://ledger.bank.example/oauth2callback"
cookie_secret = "{CANARY}-cookie"
client_id = "modelledger"
client_secret = "{CANARY}-client"
server_metadata_url = "https://login.bank.example/.well-known/openid-configuration"
"""
# In variables whose name says that they are secret, and in those that hold a URL or options with a secret in it.
ENVIRONMENT = {
    "AWS_SECRET_ACCESS_KEY": f"{CANARY}-aws",
    "AZURE_STORAGE_ACCOUNT_KEY": f"{CANARY}-azure",
    "MLFLOW_TRACKING_PASSWORD": f"{CANARY}-mlflow-password",
    "MLFLOW_TRACKING_TOKEN": f"{CANARY}-mlflow-token",
    "MODELLEDGER_STORAGE_OPTIONS": json.dumps({"aws_secret_access_key": f"{CANARY}-options"}),
    "MODELLEDGER_SPARK_CONF": json.dumps({"spark.hadoop.fs.s3a.secret.key": f"{CANARY}-conf"}),
    "MODELLEDGER_SPARK_MASTER": f"sc://spark.bank.example:443/;use_ssl=true;token={CANARY}-connect",
}
SAID = [
    *(f"{CANARY}-{name}" for name in ("aws", "azure", "mlflow-password", "mlflow-token", "options", "conf", "connect")),
    f"https://ann:{CANARY}-url@host.bank.example/x",
    f"https://host.bank.example/x?sig={CANARY}-sig&password={CANARY}-query",
    f"{CANARY}-client",
    f"{CANARY}-cookie",
]
SECRETS = " ".join(SAID)


@pytest.fixture
def secret(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of this process and of those that it starts, full of canaries."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "secrets.toml"
    file.write_text(AUTH)
    return ENVIRONMENT


def with_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELLEDGER_SECRETS", str(tmp_path / "secrets.toml"))


def kept_in(home: Path) -> list[str]:
    """The files of a workspace in which a canary lies."""
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    return [str(path.relative_to(home)) for path in files if CANARY.encode() in path.read_bytes()]


def run(home: Path, *words: str, **settings: str) -> tuple[int, str]:
    """A command in a process of its own: exit code, and everything that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "core", *words],
        cwd=ROOT,
        env=clean_environment(home) | ENVIRONMENT | settings,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


CONNECTIONS = [
    {"MODELLEDGER_DATABASE_URL": f"postgresql://ann:{CANARY}-db@127.0.0.1:PORT/ledger"},
    {"MODELLEDGER_DATABASE_URL": f"postgresql://127.0.0.1:PORT/ledger?user=ann&password={CANARY}-db"},
    {"MODELLEDGER_DATABASE_URL": f"postgresql://ann:{CANARY}-db@no-such-host.invalid/ledger"},
    {"MODELLEDGER_DATABASE_URL": f"nonsense://ann:{CANARY}-db@host/ledger"},
    {"MODELLEDGER_DATABASE_URL": f"ann:{CANARY}-db@host"},
    {"MLFLOW_TRACKING_URI": f"http://ann:{CANARY}-mlflow@127.0.0.1:PORT"},
    {"MLFLOW_TRACKING_URI": f"postgresql://ann:{CANARY}-mlflow@127.0.0.1:PORT/mlflow"},
    {"MODELLEDGER_TABLES": f"loans=s3://key:{CANARY}-tables@bucket/loans"},
    {"MODELLEDGER_STORAGE_OPTIONS": f'{{"aws_secret_access_key": {CANARY}'},
]


@pytest.mark.parametrize("settings", CONNECTIONS, ids=lambda one: next(iter(one.values())).replace(CANARY, "")[:40])
def test_a_connection_that_fails_prints_no_secret(
    command: Command,  # noqa: F811
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (ENVIRONMENT | settings).items():
        monkeypatch.setenv(name, value.replace("PORT", str(free_port())))
    for words in (("doctor",), ("models",)):
        options.get_stores.cache_clear()
        answer = command(*words)
        printed = answer.out + answer.err
        assert answer.code in (0, 1), printed
        assert printed
        assert CANARY not in printed
        assert "Traceback" not in printed


@pytest.mark.parametrize("settings", [CONNECTIONS[0], CONNECTIONS[6]], ids=["database", "mlflow"])
def test_a_process_whose_connection_fails_prints_no_secret(tmp_path: Path, settings: dict[str, str]) -> None:
    """Warnings and log lines of the libraries come out as well, as a user sees them."""
    placed = {name: value.replace("PORT", str(free_port())) for name, value in settings.items()}
    code, printed = run(tmp_path / "home", "models", **placed)
    assert code == 1, printed
    assert printed
    assert CANARY not in printed
    assert "Traceback" not in printed


def test_doctor_masks_every_setting(secret: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_provider(tmp_path, monkeypatch)
    checks = {check.name: check for check in run_checks(load_settings(), open_stores)}
    assert CANARY not in str(checks.values())
    assert checks["MODELLEDGER_SPARK_MASTER"].detail == "sc://spark.bank.example:443/;use_ssl=true;token=***"
    assert checks["MODELLEDGER_SECRETS"].detail == str(tmp_path / "secrets.toml"), "where a secret lies is none"


def test_the_settings_page_masks_every_setting(secret: dict[str, str], opened: Opened) -> None:  # noqa: F811
    test = opened("admin", "admin")
    assert not test.exception
    assert [proto.DESCRIPTOR.name for proto in protos(test) if CANARY.encode() in proto.SerializeToString()] == []


def test_a_job_that_fails_with_a_secret_in_its_words_keeps_none(
    secret: dict[str, str], home: Path, tmp_path: Path, scientist: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_provider(tmp_path, monkeypatch)
    stores = open_stores()

    def fails(*arguments: object) -> dict[str, str]:
        raise RuntimeError(f"could not sign with {SECRETS}")

    job = stores.jobs.submit("train", {"recipe": SECRETS, "params": [{"url": SECRETS}]}, scientist)
    stores.jobs.claim("test")
    stores.jobs.remember(job.id, 1, {"uri": SECRETS})
    stores.jobs.report(job.id, 1, 0.1, f"signing with {SECRETS}")
    stores.jobs.write_line(job.id, f"signing with {SECRETS}")
    run_job(stores.jobs, job.id, attempt=1, work=fails)
    kept = stores.jobs.get(job.id)
    assert "RuntimeError: could not sign with *** ***" in (kept.error or "")
    assert kept.arguments["recipe"].startswith("*** ***")
    again = stores.jobs.submit("train", {}, scientist)
    stores.jobs.claim("test")
    stores.jobs.finish(again.id, 1, {"deep": [{"uri": SECRETS}]})
    stores.jobs.triggers.save(
        Trigger(
            id="t",
            kind="cron",
            job_kind="train",
            arguments={"recipe": SECRETS},
            actor="scientist",
            role="scientist",
            created=datetime.now(UTC),
            cron="0 6 * * 1",
        )
    )
    assert stores.jobs.triggers.get("t").arguments["recipe"].startswith("*** ***")
    assert kept_in(home) == []


def test_a_whole_flow_whose_reasons_hold_secrets_keeps_none(
    sample: Path,
    secret: dict[str, str],
    tmp_path: Path,
    scientist: Actor,
    manager: Actor,
    auditor: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_provider(tmp_path, monkeypatch)
    stores = open_stores()
    asked = request_promotion(
        stores, scientist, model="iris_classifier", version=3, to=Stage.PRODUCTION, reason=f"asked {SECRETS}"
    )
    approve(stores, manager, asked.id, reason=f"yes {SECRETS}")
    kept = stores.decisions.get(asked.id)
    assert kept.request_reason.startswith("asked *** ***")
    assert (kept.reason or "").startswith("yes *** ***")
    refused = request_promotion(
        stores, scientist, model="iris_classifier", version=2, to=Stage.STAGING, reason=f"asked {SECRETS}"
    )
    reject(stores, manager, refused.id, reason=f"no {SECRETS}")
    found = open_finding(stores, auditor, subject="iris_classifier/3", detail=f"seen {SECRETS}", severity=Severity.LOW)
    close_finding(stores, manager, found.id, reason=f"closed {SECRETS}")
    run_id = stores.runs.start("flow", "fails", "scientist", {})
    stores.runs.end(run_id, RunStatus.FAILED, f"failed {SECRETS}")
    assert (failure_reason(stores.runs.get(run_id)) or "").startswith("failed *** ***")
    roll_back(stores, manager, model="iris_classifier", to=1, reason=f"back {SECRETS}")
    assert kept_in(sample) == []


def test_the_command_line_answers_without_a_secret_that_somebody_wrote_into_mlflow(
    told: Stores,
    command: Command,  # noqa: F811
) -> None:
    for words in (("models",), ("runs",), ("lineage", "iris_classifier/3"), ("findings",)):
        for more in ((), ("--json",)):
            answer = command(*words, *more)
            assert answer.code == 0, answer.err
            # Nobody can sign in here, so that no setting says what the provider's own two secrets are.
            said = (answer.out + answer.err).replace(f"{CANARY}-client", "").replace(f"{CANARY}-cookie", "")
            assert CANARY not in said


def test_the_audit_log_and_its_exports_keep_none(
    secret: dict[str, str], home: Path, tmp_path: Path, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_provider(tmp_path, monkeypatch)
    stores = open_stores()
    facts = {"uri": SECRETS, "deep": [{"uri": SECRETS}]}
    stores.audit.append(
        auditor, "data.ingest", f"table {SECRETS}", Outcome.FAILED, reason=SECRETS, before=facts, after=facts
    )
    with pytest.raises(CoreError), stores.audit.recording(auditor, Action.AUDIT_EXPORT, SECRETS, reason=SECRETS):
        raise CoreError(f"failed with {SECRETS}")
    for ending in (".csv", ".jsonl"):
        export_audit(stores, auditor, tmp_path / f"log{ending}")
        assert CANARY not in (tmp_path / f"log{ending}").read_text()
    assert stores.audit.verify().ok
    assert kept_in(home) == []


@pytest.fixture
def told(sample: Path, secret: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """The sample, whose runs and versions hold secrets that somebody wrote into MLflow."""
    with monkeypatch.context() as here:
        with_provider(tmp_path, here)
        stores = open_stores()
    client = MlflowClient(stores.settings.tracking_uri)
    version = client.get_model_version("iris_classifier", "3")
    for tag in ("mlflow.source.git.repoURL", "note"):
        client.set_tag(str(version.run_id), tag, SECRETS)
    client.update_model_version("iris_classifier", "3", description=SECRETS)
    client.update_registered_model("iris_classifier", description=SECRETS)
    open_finding(
        stores,
        Actor(name="auditor", roles=frozenset({Role.AUDITOR})),
        subject="iris_classifier/3",
        detail=SECRETS,
        severity=Severity.LOW,
    )
    return stores


def test_the_evidence_that_is_taken_away_holds_none(told: Stores, auditor: Actor) -> None:
    key = ModelVersionKey(model="iris_classifier", version=3)
    assert CANARY not in export_dossier(told, auditor, key, as_="html").data.decode()
    with zipfile.ZipFile(io.BytesIO(export_bundle(told, auditor, key).data)) as bundle:
        assert [name for name in bundle.namelist() if CANARY.encode() in bundle.read(name)] == []
        assert b"***" in bundle.read("mlflow/run.json")


def test_a_refusal_repeats_no_secret_on_a_page_or_a_terminal(
    told: Stores,
    opened: Opened,  # noqa: F811
    command: Command,  # noqa: F811
) -> None:
    test = opened("lineage", "auditor", lineage_from="Prediction batch", lineage_batch=f"{CANARY}-aws")
    assert not test.exception
    assert CANARY not in " ".join(error.value for error in test.error)
    answer = command("show", f"https://ann:{CANARY}-url@host/x")
    assert answer.code == 1
    assert CANARY not in answer.err + answer.out
    answer = command("approve", f"{CANARY}-mlflow-token", "--as", "manager", "--reason", SECRETS)
    assert answer.code == 1
    assert CANARY not in answer.err + answer.out


def test_a_token_is_in_no_file_and_in_no_answer_but_its_own(
    home: Path,
    command: Command,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = command("token", "issue", "nightly", "--role", "auditor", "--as", "admin", "--json").json["token"]
    monkeypatch.setenv("MODELLEDGER_TOKEN", made)
    answers = [command(*words) for words in (("tables",), ("audit", "log", "--json"), ("doctor",), ("train", made))]
    assert [answer for answer in answers if made in answer.out + answer.err] == []
    files = [path for path in home.rglob("*") if path.is_file()]
    assert [path.name for path in files if made.encode() in path.read_bytes()] == []


def test_what_reads_an_upload_or_a_model_gets_no_secret(secret: dict[str, str]) -> None:
    assert CANARY in str(dict(os.environ))
    assert CANARY not in str(process_environment())
