"""Streamlit's own log lines: written by the app's handler, as every other line."""

from __future__ import annotations

import logging

import streamlit.logger


def route_streamlit_logs() -> None:
    """Send the lines of Streamlit and its web server to the root logger's handlers.

    Streamlit gives each of its loggers a console handler and lets nothing propagate. Both are set in one function of
    its module, which also runs for loggers that are made later.
    """
    streamlit.logger.setup_formatter = _route
    streamlit.logger.update_formatter()


def _route(logger: logging.Logger) -> None:
    handler = getattr(logger, "streamlit_console_handler", None)
    if handler is not None:
        logger.removeHandler(handler)
    logger.propagate = True
