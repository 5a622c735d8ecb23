"""Checks every connection and lists every setting, each with advice where something is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from core.entities import Table
from core.errors import CoreError, StoreUnusable, Unavailable
from core.features.notifications.status import channel_states
from core.features.stores import Stores
from core.redact import masked, redactor
from core.settings import Settings
from core.settings_file import read_settings_file, settings_file
from core.texts import text

MASK = "***"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One setting or connection. *source* is the origin of a setting; *advice* is empty where all is well."""

    name: str
    ok: bool
    detail: str
    source: str = ""
    advice: str = ""


def run_checks(settings: Settings, open_stores: Callable[[Settings], Stores]) -> tuple[Check, ...]:
    """Return every connection, then every setting. A failed connection does not hide the others."""
    checks = [_home(settings.home)]
    try:
        stores = open_stores(settings)
    except CoreError as error:
        redact = redactor(settings.secret_values)
        checks.append(Check(name="database", ok=False, detail=redact(settings.database), advice=redact(str(error))))
    else:
        checks += (*check_stores(stores), *_channels(stores))
    return (*checks, *list_settings(settings))


def list_settings(settings: Settings) -> tuple[Check, ...]:
    """Return every setting with its value and source. Secrets are masked."""
    from_dotenv = dotenv_values(".env") if Path(".env").is_file() else {}
    file, from_file = settings_file(settings.home), read_settings_file(settings.home, type(settings).model_fields)
    listed = []
    for name, field in type(settings).model_fields.items():
        alias = field.validation_alias
        variable = alias if isinstance(alias, str) else f"MODELLEDGER_{name.upper()}"
        source = (
            "environment"
            if variable in os.environ
            else ".env"
            if variable in from_dotenv
            else file.name
            if file is not None and name in from_file
            else "default"
        )
        value = getattr(settings, name)
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        if extra.get("secret") and value:
            shown = masked(value) if isinstance(value, str) and "://" in value else MASK
        else:
            shown = (
                text("not set") if value in (None, {}, "") else masked(value) if isinstance(value, str) else str(value)
            )
        listed.append(Check(name=variable, ok=True, detail=shown, source=source))
    return tuple(listed)


def _home(home: Path) -> Check:
    nearest = next(folder for folder in (home, *home.parents) if os.path.exists(folder))
    is_writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    advice = text("Make {home} writable, or set MODELLEDGER_HOME to another folder.", home=str(home))
    return Check(name="home", ok=is_writable, detail=str(home), advice="" if is_writable else advice)


def check_stores(stores: Stores) -> tuple[Check, ...]:
    """Check each connection of open stores."""
    settings = stores.settings
    checks = [
        _check(
            stores,
            "database",
            lambda: text(
                "{address}, {events} events", address=masked(settings.database), events=stores.audit.head()[0]
            ),
        ),
        _check(
            stores,
            "engine",
            lambda: text(
                "{engine}: {state}, {tables} tables",
                engine=stores.engine.name,
                state=stores.engine.check(),
                tables=len(stores.catalog.tables()),
            ),
        ),
        *(_check_table(stores, table) for table in _registered(stores)),
        _check(
            stores,
            "mlflow tracking",
            lambda: _tracking(stores),
        ),
        _check(
            stores,
            "mlflow registry",
            lambda: text(
                "{address}, {models} models",
                address=masked(settings.registry_uri),
                models=len(stores.models.models()),
            ),
        ),
    ]
    return tuple(checks)


def _tracking(stores: Stores) -> str:
    address, experiments = masked(stores.settings.tracking_uri), len(stores.runs.experiments())
    version = stores.runs.server_version()
    if version is None:
        return text("{address}, {experiments} experiments", address=address, experiments=experiments)
    return text(
        "{address}, MLflow {version}, {experiments} experiments",
        address=address,
        version=version,
        experiments=experiments,
    )


def _channels(stores: Stores) -> tuple[Check, ...]:
    return tuple(
        Check(
            name=text("notifications {name}", name=channel.name),
            ok=channel.is_ok,
            detail=channel.summary,
            advice="" if channel.is_ok else channel.summary,
        )
        for channel in channel_states(stores)
    )


def engine_problem(stores: Stores) -> str | None:
    """Return why the engine cannot be used here and what to do, or None. Starts nothing."""
    try:
        stores.engine.check()
    except CoreError as error:
        return str(error)
    return None


def _check_table(stores: Stores, table: Table) -> Check:
    return _check(
        stores,
        text("table {name}", name=table.name),
        lambda: text("version {version}, {uri}", version=stores.engine.snapshot(table).version, uri=table.uri),
    )


def _check(stores: Stores, name: str, connect: Callable[[], str]) -> Check:
    try:
        return Check(name=name, ok=True, detail=stores.audit.redacted(connect()))
    except CoreError as error:
        does_answer = isinstance(error, StoreUnusable) or not isinstance(error, Unavailable)
        detail = text("cannot be used") if does_answer else text("does not answer")
        return Check(name=name, ok=False, detail=detail, advice=stores.audit.redacted(str(error)))


def _registered(stores: Stores) -> tuple[Table, ...]:
    try:
        return stores.catalog.tables()
    except CoreError:
        return ()  # the check of the engine reports the same failure
