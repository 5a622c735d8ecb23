"""Options that many commands share, and the stores, actor and values that they stand for."""

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
from core.features.history.moment import Moment, find_moment
from core.features.runs.models import find_by_alias
from core.features.stores import Stores
from core.redact import everywhere
from core.settings import secret_free

Params = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Parameter of the estimator. May be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
As = Annotated[str | None, typer.Option("--as", metavar="USER", help="Act as this user, where sign-in is off.")]
Decider = Annotated[
    str | None,
    typer.Option(
        "--as", metavar="USER", help="Act as this user, where sign-in is off.", default_factory=lambda: _no_default()
    ),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Reason, kept in the audit log.")]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="DATE",
        help="Show the state at the end of this day (2027-03-31, UTC), at this ISO 8601 time or after event-N.",
    ),
]
OptionalReason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Reason, kept in the audit log.")]

__all__ = [
    "As",
    "AsOf",
    "Decider",
    "Json",
    "OptionalReason",
    "Reason",
    "get_actor",
    "get_stores",
    "parse_as_of",
    "parse_model",
    "parse_model_version",
    "write_answer",
]

# The environment variable with the token by which the command line acts.
TOKEN = "MODELLEDGER_TOKEN"  # noqa: S105 — the name of the variable

_MODEL_VERSION = re.compile(r"^(?P<model>.+)/(?P<version>\d+)$", re.DOTALL)


@cache
def get_stores() -> Stores:
    """Return the stores of the settings, opened once per process."""
    return open_stores()


def parse_as_of(text: str | None) -> Moment | None:
    """Return the moment of --as-of; None for now. Raises BadParameter, NotFound."""
    return None if text is None else find_moment(get_stores(), text)


def get_actor(name: str | None, default: str = DEFAULT_IDENTITY) -> Actor:
    """Return the actor: the token's owner, or without a sign-in provider the user of --as, or *default*.

    Raises:
        NotSignedIn: a provider is enabled and --as was given, or the token is missing, unknown, expired or revoked.
    """
    token, stores = os.environ.get(TOKEN, ""), get_stores()
    if stores.settings.has_sign_in:
        enable_provider(stores, channel="cli")
    elif not is_provider_enabled(stores):
        return demo_identity(stores, name or default, channel="cli") if name or not token else _token_actor(token)
    if name is not None:
        raise NotSignedIn(
            "--as is not accepted, because a sign-in provider is enabled. Put a token into {variable}; an admin issues "
            "tokens.",
            variable=TOKEN,
        )
    if not token:
        raise NotSignedIn(
            "You are not signed in. Put a token into {variable}; an admin issues tokens with `token issue`.",
            variable=TOKEN,
        )
    return _token_actor(token)


def parse_parameters(pairs: Sequence[str] | None) -> dict[str, str]:
    """Parse NAME=VALUE texts.

    Raises:
        BadParameter: a text has another form.
    """
    values = {}
    for text in pairs or ():
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise BadParameter("{name!r} is not a valid parameter. Write NAME=VALUE.", name=text)
        values[name] = value
    return values


def write_answer(document: Any, *, as_json: bool) -> None:
    """Print *document* on stdout, as one JSON document or laid out for people, without secrets."""
    output.write_answer(everywhere(output.plain(document), secret_free()), as_json=as_json)


def _token_actor(token: str) -> Actor:
    return get_stores().tokens.actor(token, datetime.now(UTC))


def _no_default() -> str | None:
    """Decisions have no default user: --as or a token is needed."""
    if os.environ.get(TOKEN) or is_provider_enabled(get_stores()):
        return None
    raise typer.BadParameter("required: name the user who decides.", param_hint="'--as'")


def parse_model(text: str) -> tuple[str, int | None]:
    """Return model and version of MODEL, MODEL/N or MODEL@ALIAS; MODEL alone has no version.

    Raises as `parse_model_version` does.
    """
    is_name = "/" not in text and ("@" not in text or any(model.name == text for model in get_stores().models.models()))
    if is_name:
        return text, None
    key = parse_model_version(text)
    return key.model, key.version


def parse_model_version(text: str) -> ModelVersionKey:
    """Parse MODEL/N, or MODEL@ALIAS, which is the version that holds the alias now.

    Raises:
        BadName: *text* has another form.
        ModelNotFound, ModelVersionNotFound: no version has that alias.
    """
    match = _MODEL_VERSION.match(text)
    if match is not None:
        return ModelVersionKey(model=match["model"], version=int(match["version"]))
    model, _, alias = text.rpartition("@")
    if not model or not alias:
        raise BadName(
            "{name!r} is not a valid model version. Write MODEL/N or MODEL@ALIAS, for example iris_classifier/3.",
            name=text,
        )
    return find_by_alias(get_stores(), get_actor(None), model, alias)
