"""Secrets out of texts: known values, what the environment calls secret, passwords in URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, Role
from core.errors import BadSettings
from core.redact import password_of, redactor, secret_values
from core.settings import load_settings


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg2://ledger:s3cr3t@db:5432/x", "postgresql+psycopg2://ledger:***@db:5432/x"),
        ("https://me:pa%2Fss@mlflow.example/api?x=1", "https://me:***@mlflow.example/api?x=1"),
        ("redis://:s3cr3t@cache", "redis://:***@cache"),
        (f"{'x' * 100_000}://me:s3cr3t@db", f"{'x' * 100_000}://me:***@db"),
        ("https://mlflow.example:5000/a@b", "https://mlflow.example:5000/a@b"),
        ("no secret here: f1 0.97", "no secret here: f1 0.97"),
    ],
)
def test_password_in_a_url_is_masked_and_the_rest_stays(text: str, shown: str) -> None:
    assert redactor()(text) == shown


def test_known_values_are_masked_the_longest_first() -> None:
    redact = redactor(["abcdef", "abcdef-and-more"])
    assert redact("abcdef-and-more abcdef abcde") == "*** *** abcde"


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_TOKEN", "DB_PASSWORD", "AZURE_STORAGE_ACCOUNT_KEY", "MY_API_KEY"]
)
def test_value_that_the_environment_calls_secret_is_masked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "hunter2hunter2")
    assert redactor()("got hunter2hunter2.") == "got ***."


def test_short_value_is_a_word_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "iris")
    assert redactor()("iris_classifier") == "iris_classifier"


def test_options_and_urls_tell_their_secrets() -> None:
    assert secret_values({"aws_secret_access_key": "k", "region": "eu"}) == ("k",)
    assert password_of("postgresql://u:p%40ss@h/d") == ("p%40ss", "p@ss")
    assert password_of("sqlite:///x.db") == ()
    assert password_of(None) == ()


def test_secrets_of_the_settings_are_kept_out_of_a_jobs_log(home: Path) -> None:
    settings = load_settings(home=home, storage_options={"AWS_SECRET_ACCESS_KEY": "fr0m-settings"})
    jobs = open_stores(settings).jobs
    job = jobs.submit("train", {}, Actor(name="scientist", roles=frozenset({Role.SCIENTIST})))
    jobs.write_line(job.id, "signing with fr0m-settings")
    assert jobs.lines(job.id)[0].text == "signing with ***"


def test_policy_that_cannot_be_used_is_told_when_the_app_opens(home: Path) -> None:
    settings = load_settings(home=home, policies={"*": [{"gate": "moon_phase"}]})
    with pytest.raises(BadSettings, match="moon_phase"):
        open_stores(settings)
