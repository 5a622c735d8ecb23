"""Logs: their format, level and ids; no secret, no control character; stdout stays clean."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from structlog.contextvars import clear_contextvars

from core import logs
from core.access.permissions import Action
from core.audit.log import AuditLog
from core.cli import main
from core.database.engine import Database
from core.entities import Actor, Role
from core.errors import Forbidden

LOG = logs.get_logger("core.tests")
LIBRARY = logging.getLogger("some.library")
MANAGER = Actor(name="manager", roles=frozenset({Role.MANAGER}), channel="test")


@pytest.fixture(autouse=True)
def unchanged_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    clear_contextvars()  # those of a test that ran before in this process
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    clear_contextvars()


def json_lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELLEDGER_LOG_FORMAT", "json")


def test_json_line_has_time_level_logger_event_and_values(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure_logs()
    LOG.warning("disk is full", free_bytes=0, folder=Path("/data"))
    (line,) = json_lines(capsys.readouterr().err)
    time = datetime.fromisoformat(str(line.pop("timestamp")))
    assert time.utcoffset() == timedelta(0)
    assert line == {
        "level": "warning",
        "logger": "core.tests",
        "event": "disk is full",
        "free_bytes": 0,
        "folder": "/data",
    }


def test_ids_of_a_request_are_in_each_line_and_end_with_the_next_request(
    as_json: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure_logs()
    logs.start_request(session="7f9a-secret-session", actor="ana")
    LOG.warning("first")
    LIBRARY.warning("of a library")
    logs.start_request()
    LOG.warning("second")
    text = capsys.readouterr().err
    first, library, second = json_lines(text)
    assert (first["actor"], library["actor"]) == ("ana", "ana")
    assert first["request_id"] == library["request_id"] != second["request_id"]
    assert first["session_id"] == library["session_id"]
    assert {"actor", "session_id"}.isdisjoint(second)
    assert "7f9a-secret-session" not in text


def test_secret_in_any_value_is_masked(
    as_json: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    logs.configure_logs()
    LOG.warning("with wJalrXUtnFEMI", inside=[{"deep": "wJalrXUtnFEMI"}], error=ValueError("wJalrXUtnFEMI"))
    LOG.warning("by name", password="open sesame")
    LIBRARY.warning("GET %s", "https://me:hunter22@db/x")
    try:
        raise RuntimeError("wJalrXUtnFEMI")
    except RuntimeError:
        LOG.exception("failed")
    text = capsys.readouterr().err
    assert len(text.splitlines()) == 4
    assert "RuntimeError: ***" in text
    for secret in ("wJalrXUtnFEMI", "open sesame", "hunter22"):
        assert secret not in text


def test_text_line_is_for_people_and_no_character_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure_logs()
    logs.start_request(actor="ana\x1b[31m")
    LOG.warning("cannot reach MLflow", error="refused")
    (line,) = capsys.readouterr().err.splitlines()
    assert "WARNING core.tests: cannot reach MLflow: refused [" in line
    assert "\x1b" not in line
    assert "actor=ana‹U+001B›[31m" in line


@pytest.mark.parametrize(
    ("level", "default", "events"),
    [
        (None, "warning", ["w"]),
        (None, "info", ["i", "w"]),
        ("debug", "warning", ["d", "i", "w"]),
        ("error", "info", []),
    ],
)
def test_level_is_set_for_own_lines_and_libraries_report_problems(
    as_json: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    level: str | None,
    default: str,
    events: list[str],
) -> None:
    if level:
        monkeypatch.setenv("MODELLEDGER_LOG_LEVEL", level)
    logs.configure_logs(default_level=default)
    LOG.debug("d")
    LOG.info("i")
    LOG.warning("w")
    LIBRARY.setLevel(logging.DEBUG)
    LIBRARY.info("chatter")
    LIBRARY.error("trouble")
    assert [line["event"] for line in json_lines(capsys.readouterr().err)] == [*events, "trouble"]


def test_action_is_logged_with_actor_action_subject_and_outcome(
    as_json: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    audit = AuditLog(Database(f"sqlite:///{tmp_path / 'modelledger.db'}"))
    logs.configure_logs(default_level="info")
    with audit.recording(MANAGER, Action.PROMOTION_DECIDE, "churn/3"):
        LOG.info("inside")
    with pytest.raises(Forbidden), audit.recording(MANAGER, Action.DATA_INGEST, "sales"):
        pass
    inside, ended, denied = json_lines(capsys.readouterr().err)
    operation = audit.search(action="promotion.decide")[0].operation
    for line in (inside, ended):
        assert (line["actor"], line["action"], line["subject"]) == ("manager", "promotion.decide", "churn/3")
        assert line["operation"] == operation
    assert (ended["event"], ended["outcome"]) == ("action ended", "success")
    assert (denied["event"], denied["action"]) == ("action denied", "data.ingest")


def test_stdout_of_a_command_holds_its_json_alone_at_any_level(
    as_json: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODELLEDGER_LOG_LEVEL", "debug")
    monkeypatch.setenv("MODELLEDGER_HOME", str(tmp_path))
    main(["doctor", "--json"])
    out, err = capsys.readouterr()
    checks = {check["name"]: check for check in json.loads(out)}
    assert checks["MODELLEDGER_LOG_LEVEL"]["detail"] == "debug"
    assert checks["MODELLEDGER_LOG_FORMAT"]["source"] == "environment"
    json_lines(err)


def test_settings_that_cannot_be_used_do_not_stop_the_logs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELLEDGER_LOG_FORMAT", "xml")
    logs.configure_logs()
    LOG.warning("still here")
    assert "WARNING core.tests: still here" in capsys.readouterr().err
    assert main(["doctor"]) == 1
    assert "MODELLEDGER_LOG_FORMAT cannot be used" in capsys.readouterr().err
