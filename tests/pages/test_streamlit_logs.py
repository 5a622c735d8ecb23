"""Streamlit's log lines reach the app's own handler: in one format, without secrets."""

from __future__ import annotations

import json
import logging

import pytest
import streamlit.logger

from core import logs
from pages._server.streamlit_logs import route_streamlit_logs


def test_lines_of_streamlit_and_its_web_server_are_json_lines_without_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    monkeypatch.setattr(streamlit.logger, "setup_formatter", streamlit.logger.setup_formatter)
    monkeypatch.setenv("MODELLEDGER_LOG_FORMAT", "json")
    made_before = streamlit.logger.get_logger("streamlit.made_before")
    try:
        logs.configure_logs()
        route_streamlit_logs()
        made_before.warning("see https://me:hunter22@host/x")
        streamlit.logger.get_logger("streamlit.made_after").error("failed")
        logging.getLogger("uvicorn.error").error("closed")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        monkeypatch.undo()
        streamlit.logger.update_formatter()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["logger"], line["event"]) for line in lines] == [
        ("streamlit.made_before", "see https://me:***@host/x"),
        ("streamlit.made_after", "failed"),
        ("uvicorn.error", "closed"),
    ]
