"""Options that many commands share, and what they stand for."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any

import typer

from core.access.identity import DEFAULT_IDENTITY
from core.bootstrap import open_stores
from core.commands import output
from core.entities import Actor, ModelVersionKey
from core.errors import BadName, BadParameter, NotSignedIn
from core.features.admin.sign_in import demo_identity, enable_provider, is_provider_enabled
from core.features.stores import Stores
from core.redact import everywhere
from core.settings import secret_free

Params = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the estimator; may be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
As = Annotated[str | None, typer.Option("--as", metavar="USER", help="Who acts; the default may only read.")]
Decider = Annotated[
    str | None, typer.Option("--as", metavar="USER", help="Who acts.", default_factory=lambda: _no_default())
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="DATE", help="As it stood then, from the log: 2027-03-31, or a time in ISO 8601."),
]
OptionalReason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")]

__all__ = [
    "As",
    "AsOf",
    "Decider",
    "Json",
    "OptionalReason",
    "Reason",
    "get_actor",
    "get_stores",
    "parse_model_version",
    "write_answer",
]

# The token that the command line acts by.
TOKEN = "MODELLEDGER_TOKEN"  # noqa: S105 — the name of the variable

_MODEL_VERSION = re.compile(r"^(?P<model>.+)/(?P<version>\d+)$", re.DOTALL)


@cache
def get_stores() -> Stores:
    """The stores that the settings name, opened once per process."""
    return open_stores()


def get_actor(name: str | None, default: str = DEFAULT_IDENTITY) -> Actor:
    """Who acts: the token's owner; where no sign-in provider is or was in force, who --as says, or *default*.

    Raises NotSignedIn: --as where one is, and a token that is missing, unknown, expired or revoked.
    """
    text, stores = os.environ.get(TOKEN, ""), get_stores()
    if stores.settings.has_sign_in:
        enable_provider(stores, channel="cli")
    elif not is_provider_enabled(stores):
        return demo_identity(stores, name or default, channel="cli") if name or not text else _by_token(text)
    if name is not None:
        raise NotSignedIn(
            f"--as is not taken, because people sign in here by a provider: put a token into {TOKEN}; an admin issues "
            "one."
        )
    if not text:
        raise NotSignedIn(f"Nobody is signed in: put a token into {TOKEN}; an admin issues one with `token issue`.")
    return _by_token(text)


def parse_parameters(pairs: Sequence[str] | None) -> dict[str, str]:
    """NAME=VALUE texts as a mapping. Raises BadParameter for a text that is none."""
    found = {}
    for text in pairs or ():
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise BadParameter(f"{text!r} is no parameter; write NAME=VALUE.", name=text)
        found[name] = value
    return found


def write_answer(document: Any, *, as_json: bool) -> None:
    """Prints *document* on stdout, as one JSON document or laid out for a person, without a secret in its texts."""
    output.write_answer(everywhere(output.plain(document), secret_free()), as_json=as_json)


def _by_token(text: str) -> Actor:
    return get_stores().tokens.actor(text, datetime.now(UTC))


def _no_default() -> str | None:
    """Who decides is said: by --as, or by a token."""
    if os.environ.get(TOKEN) or is_provider_enabled(get_stores()):
        return None
    raise typer.BadParameter("is needed: who acts.", param_hint="'--as'")


def parse_model_version(text: str) -> ModelVersionKey:
    """MODEL/N. Raises BadName."""
    match = _MODEL_VERSION.match(text)
    if match is None:
        raise BadName(f"{text!r} is no model version; write MODEL/N, for example iris_classifier/3.", name=text)
    return ModelVersionKey(model=match["model"], version=int(match["version"]))
