"""Options that many commands share, and what they stand for."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated

import typer

from core.answers import write_answer
from core.bootstrap import open_stores
from core.entities import Actor, ModelVersionKey
from core.errors import BadName
from core.identity import DEFAULT_IDENTITY, demo_actor
from core.services.stores import Stores

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
As = Annotated[str | None, typer.Option("--as", metavar="USER", help="Who acts; the default may only read.")]
Decider = Annotated[str, typer.Option("--as", metavar="USER", help="Who acts.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")]
OptionalReason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")]

__all__ = ["As", "Decider", "Json", "OptionalReason", "Reason", "acting", "model_version", "opened", "write_answer"]

_MODEL_VERSION = re.compile(r"^(?P<model>.+)/(?P<version>\d+)$", re.DOTALL)


@cache
def opened() -> Stores:
    """The stores that the settings name, opened once per process."""
    return open_stores()


def acting(name: str | None, default: str = DEFAULT_IDENTITY) -> Actor:
    """The person behind --as; *default* where it was left out."""
    return demo_actor(name or default, channel="cli")


def model_version(text: str) -> ModelVersionKey:
    """MODEL/N. Raises BadName."""
    match = _MODEL_VERSION.match(text)
    if match is None:
        raise BadName(f"{text!r} is no model version; write MODEL/N, for example iris_classifier/3.", name=text)
    return ModelVersionKey(model=match["model"], version=int(match["version"]))
