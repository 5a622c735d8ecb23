"""Settings file: what modelledger.toml sets, what overrides it, and how a mistake in it is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import BadSettings
from core.features.admin.doctor import list_settings
from core.settings import load_settings

FILE = """
mlflow_tracking_uri = "https://mlflow.bank.example"
upload_limit_mb = 50

[tables]
churn = "s3://lake/churn"
loans = "/srv/lake/loans"

[[policies.churn]]
gate = "a"

[approvals]
churn = 2
"""


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, in which the settings file lies."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_file_in_the_working_folder_sets_what_it_names(folder: Path) -> None:
    (folder / "modelledger.toml").write_text(FILE)
    settings = load_settings()
    assert settings.tracking_uri == "https://mlflow.bank.example"
    assert (settings.upload_limit_mb, settings.upload_rows) == (50, 20_000_000)
    assert settings.tables == "churn=s3://lake/churn,loans=/srv/lake/loans"
    assert settings.policies == {"churn": [{"gate": "a"}]}
    assert not settings.is_embedded


def test_a_list_of_tables_is_folders_and_pairs(folder: Path) -> None:
    (folder / "modelledger.toml").write_text('tables = ["/srv/lake", "churn=s3://lake/churn"]')
    assert load_settings().tables == "/srv/lake,churn=s3://lake/churn"


def test_the_environment_replaces_a_value_of_the_file_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "modelledger.toml").write_text(FILE)
    monkeypatch.setenv("MODELLEDGER_APPROVALS", '{"fraud": 3}')
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://other.example")
    (folder / ".env").write_text("MODELLEDGER_UPLOAD_LIMIT_MB=60\n")
    settings = load_settings()
    assert settings.approvals == {"fraud": 3}
    assert settings.tracking_uri == "https://other.example"
    assert settings.upload_limit_mb == 60


def test_a_file_elsewhere_is_named_by_a_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "modelledger.toml").write_text("upload_limit_mb = 50")
    (folder / "other.toml").write_text("upload_limit_mb = 70")
    monkeypatch.setenv("MODELLEDGER_CONFIG", str(folder / "other.toml"))
    assert load_settings().upload_limit_mb == 70


def test_doctor_lists_the_source_of_each_setting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "modelledger.toml").write_text(FILE)
    monkeypatch.setenv("MODELLEDGER_UPLOAD_LIMIT_MB", "80")
    sources = {check.name: check.source for check in list_settings(load_settings())}
    assert sources["MODELLEDGER_TABLES"] == "modelledger.toml"
    assert sources["MLFLOW_TRACKING_URI"] == "modelledger.toml"
    assert sources["MODELLEDGER_UPLOAD_LIMIT_MB"] == "environment"
    assert sources["MODELLEDGER_ROLES"] == "default"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("tabels = 'x'", r"sets 'tabels', which is not a setting\. Did you mean 'tables'\?"),
        ("MODELLEDGER_TABLES = 'x'", r"Did you mean 'tables'\?"),
        ("entirely = 1", r"sets 'entirely', which is not a setting\. `python -m core doctor` lists"),
        ("tables = 3", r"tables is a list of folders and name=uri pairs"),
        ("tables = ['/lake/a,b']", r"an address cannot hold a comma"),
        ("upload_limit_mb = 'many'", r"MODELLEDGER_UPLOAD_LIMIT_MB cannot be used"),
        ("[approvals]\nchurn = 'two'", r"MODELLEDGER_APPROVALS cannot be used"),
        ("a = = 1", r"is not valid TOML: .*line 1"),
        ("a = [", r"is not valid TOML: "),
        ("a = '\udcff'", r"cannot be read"),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence(folder: Path, content: str, sentence: str) -> None:
    (folder / "modelledger.toml").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadSettings, match=sentence) as caught:
        load_settings()
    assert "\n" not in str(caught.value)


def test_a_file_that_the_variable_names_must_exist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELLEDGER_CONFIG", "absent.toml")
    with pytest.raises(BadSettings, match=r"MODELLEDGER_CONFIG names absent\.toml, which is not a file"):
        load_settings()


def test_a_file_of_a_user_who_is_not_there_is_not_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELLEDGER_CONFIG", "~nobody-here/ledger.toml")
    with pytest.raises(BadSettings, match=r"MODELLEDGER_CONFIG names ~nobody-here/ledger\.toml, which is not a file"):
        load_settings()


def test_the_file_in_home_is_the_last_choice_and_cannot_move_home(home: Path, folder: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "modelledger.toml").write_text("upload_limit_mb = 50")
    assert load_settings().upload_limit_mb == 50
    (home / "modelledger.toml").write_text("home = 'elsewhere'")
    with pytest.raises(BadSettings, match=r"sets home, but is itself in home"):
        load_settings()
    (folder / "modelledger.toml").write_text("upload_limit_mb = 60")
    assert load_settings().upload_limit_mb == 60


def test_an_error_of_the_file_quotes_no_secret(folder: Path) -> None:
    (folder / "modelledger.toml").write_text('database_url = "postgresql://a:s3cret@db/ledger" x')
    with pytest.raises(BadSettings) as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)
