"""Logs of the app, the commands and the worker: structured, on stderr, without secrets.

A line is text for people or, with MODELLEDGER_LOG_FORMAT=json, one JSON object. Each line carries the ids that are
bound when it is written: request and session of the app, job and attempt of the worker, actor, action and operation.
Lines of libraries, which use the logging of the standard library, are written in the same way, from the level warning.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO
from uuid import uuid4

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars, merge_contextvars

from core.errors import CoreError
from core.escaping import in_json, visible
from core.redact import MASK, everywhere, redactor, secret_values
from core.settings import load_settings

__all__ = ["LOG_FD", "bound_contextvars", "configure_logs", "get_logger", "own_stderr", "start_request"]

# A worker passes its own stderr to the job's process under this descriptor: there, stderr is the job's log.
LOG_FD = "MODELLEDGER_LOG_FD"
_FIRST = ("timestamp", "level", "logger", "event")
_OWN = ("core", "pages", "__main__")

_EventDict = MutableMapping[str, Any]


class _Descriptor:
    """The worker's stderr in a job's process. Taken out of the environment: a grandchild has no such descriptor."""

    number: int | None = None

    @classmethod
    def take(cls) -> int | None:
        given = os.environ.pop(LOG_FD, "")
        if given.isdecimal():
            cls.number = int(given)
        return cls.number


def get_logger(name: str) -> Any:
    """Return the logger of a module: `.info("job started", kind=…)` and the like, values as keywords."""
    return structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def configure_logs(*, default_level: str = "warning") -> None:
    """Write the logs of this process to stderr, in the format and from the level that the settings name.

    *default_level* applies where MODELLEDGER_LOG_LEVEL is not set. A second call replaces the first. Settings that
    cannot be used do not stop the logs: the command that needs the settings reports them.
    """
    try:
        settings = load_settings()
    except CoreError:
        log_format, level, redact = "text", default_level, redactor()
    else:
        log_format, level = settings.log_format, settings.log_level or default_level
        redact = redactor(settings.secret_values)
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(handler)
        handler.close()
    number = logging.getLevelNamesMapping()[level.upper()]
    descriptor = _Descriptor.take()
    if descriptor is None:
        root.addHandler(_Handler(number, _formatter(log_format, redact)))
    else:
        # The job's log is for people and has its own times; the worker's log gets the whole line.
        root.addHandler(_Handler(max(number, logging.WARNING), _formatter("brief", redact)))
        stream = os.fdopen(os.dup(descriptor), "w", encoding="utf-8", buffering=1)
        root.addHandler(_Handler(number, _formatter(log_format, redact), stream))
    root.setLevel(min(number, logging.WARNING))


def start_request(*, session: str = "", actor: str = "") -> None:
    """Bind a new request id, and the ids of *session* and *actor*, to everything that this thread logs from now on.

    A session's own name gives access to its uploads, so only a digest of it is logged.
    """
    clear_contextvars()
    bind_contextvars(request_id=uuid4().hex[:12])
    if session:
        bind_contextvars(session_id=hashlib.sha256(session.encode()).hexdigest()[:12])
    if actor:
        bind_contextvars(actor=actor)


@contextmanager
def own_stderr() -> Iterator[int]:
    """Yield a descriptor of this process's stderr for a child process to log to."""
    descriptor = os.dup(2)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to *stream*, by default to whatever sys.stderr is at that moment."""

    def __init__(self, level: int, formatter: logging.Formatter, stream: TextIO | None = None) -> None:
        logging.Handler.__init__(self, level)
        self._own_stream = stream
        self.setFormatter(formatter)
        self.addFilter(_is_wanted)

    @property
    def stream(self) -> TextIO:
        return self._own_stream or sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        self._own_stream = value

    def close(self) -> None:
        if self._own_stream is not None:
            self._own_stream.close()
        super().close()


def _is_wanted(record: logging.LogRecord) -> bool:
    """Return whether the record is of ModelLedger, or of a library that has a problem."""
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] in _OWN


def _formatter(log_format: str, redact: Callable[[str], str]) -> logging.Formatter:
    def redacted(logger: Any, method: str, event: _EventDict) -> _EventDict:
        return {
            name: MASK if secret_values({name: "…"}) else everywhere(_plain(value), redact)
            for name, value in event.items()
        }

    render = {"json": _json_line, "text": _text_line, "brief": _brief_line}[log_format]
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redacted,
            render,
        ],
        foreign_pre_chain=[merge_contextvars, structlog.stdlib.add_logger_name, structlog.stdlib.add_log_level],
    )


def _plain(value: Any) -> Any:
    """Return *value* made of JSON's types; every other object by its text, so that no secret hides in the object."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dict():
            return {str(name): _plain(item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in value]
        case _:
            return str(value)


def _json_line(logger: Any, method: str, event: _EventDict) -> str:
    ordered = {name: event[name] for name in _FIRST if name in event} | dict(event)
    return in_json(str(structlog.processors.JSONRenderer(ensure_ascii=False)(logger, method, ordered)))


def _text_line(logger: Any, method: str, event: _EventDict) -> str:
    context = " ".join(
        f"{name}={value}" for name, value in event.items() if name not in (*_FIRST, "error", "exception")
    )
    return visible(
        f"{event['timestamp']} {_brief(event)}{f' [{context}]' if context else ''}{_exception(event)}", keep="\n\t"
    )


def _brief_line(logger: Any, method: str, event: _EventDict) -> str:
    return visible(f"{_brief(event)}{_exception(event)}", keep="\n\t")


def _brief(event: _EventDict) -> str:
    error = f": {event['error']}" if event.get("error") else ""
    return f"{event['level'].upper()} {event['logger']}: {event['event']}{error}"


def _exception(event: _EventDict) -> str:
    return f"\n{event['exception']}" if event.get("exception") else ""
