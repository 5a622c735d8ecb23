"""Streamlit's own log lines and those of its web server: written by the app's handler, as every other line."""

from __future__ import annotations

import logging

import streamlit.logger

# uvicorn has given these their own handlers by the time when it imports the app.
_WEB_SERVER = ("uvicorn", "uvicorn.access", "uvicorn.asgi", "uvicorn.error")


def route_streamlit_logs() -> None:
    """Send the lines of Streamlit and its web server to the root logger's handlers.

    Streamlit gives each of its loggers a console handler and stops propagation, in one function of its module, which
    also runs for loggers that are made later. That function is replaced.
    """
    streamlit.logger.setup_formatter = _route
    streamlit.logger.update_formatter()
    for name in _WEB_SERVER:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _route(logger: logging.Logger) -> None:
    handler = getattr(logger, "streamlit_console_handler", None)
    if handler is not None:
        logger.removeHandler(handler)
    logger.propagate = True
