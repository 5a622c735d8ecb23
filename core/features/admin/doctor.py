"""Checks every setting and connection: ok, or what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from core.entities import Table
from core.errors import CoreError
from core.features.stores import Stores
from core.redact import masked, redactor
from core.settings import Settings

MASK = "***"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One setting or connection. *source* tells where a setting came from; *advice* is empty where all is well."""

    name: str
    ok: bool
    detail: str
    source: str = ""
    advice: str = ""


def run_checks(settings: Settings, open_stores: Callable[[Settings], Stores]) -> tuple[Check, ...]:
    """Every connection first, then every setting. A connection that fails hides no other."""
    checks = [_home(settings.home)]
    try:
        stores = open_stores(settings)
    except CoreError as error:
        redact = redactor(settings.secret_values)
        checks.append(Check(name="database", ok=False, detail=redact(settings.database), advice=redact(str(error))))
    else:
        checks += check_stores(stores)
    return (*checks, *list_settings(settings))


def list_settings(settings: Settings) -> tuple[Check, ...]:
    """Every setting with its value and source; secrets are masked."""
    from_file = dotenv_values(".env") if Path(".env").is_file() else {}
    listed = []
    for name, field in type(settings).model_fields.items():
        alias = field.validation_alias
        variable = alias if isinstance(alias, str) else f"MODELLEDGER_{name.upper()}"
        source = "environment" if variable in os.environ else ".env" if variable in from_file else "default"
        value = getattr(settings, name)
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        if extra.get("secret") and value:
            shown = masked(value) if isinstance(value, str) and "://" in value else MASK
        else:
            shown = "not set" if value in (None, {}, "") else masked(value) if isinstance(value, str) else str(value)
        listed.append(Check(name=variable, ok=True, detail=shown, source=source))
    return tuple(listed)


def _home(home: Path) -> Check:
    nearest = next(place for place in (home, *home.parents) if os.path.exists(place))
    writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    advice = "" if writable else f"Make {home} writable or point MODELLEDGER_HOME at another folder."
    return Check(name="home", ok=writable, detail=str(home), advice=advice)


def check_stores(stores: Stores) -> tuple[Check, ...]:
    """Each connection of opened stores."""
    settings = stores.settings
    checks = [
        _check(stores, "database", lambda: f"{masked(settings.database)}, {stores.audit.head()[0]} events"),
        _check(
            stores,
            "engine",
            lambda: f"{stores.engine.name}: {stores.engine.check()}, {len(stores.catalog.tables())} tables",
        ),
        *(_check_table(stores, table) for table in _registered(stores)),
        _check(
            stores,
            "mlflow tracking",
            lambda: f"{masked(settings.tracking_uri)}, {len(stores.runs.experiments())} experiments",
        ),
        _check(
            stores, "mlflow registry", lambda: f"{masked(settings.registry_uri)}, {len(stores.models.models())} models"
        ),
    ]
    return tuple(checks)


def engine_problem(stores: Stores) -> str | None:
    """Why the engine cannot be used here, in one sentence with what to do; None where it can. Starts nothing."""
    try:
        stores.engine.check()
    except CoreError as error:
        return str(error)
    return None


def _check_table(stores: Stores, table: Table) -> Check:
    return _check(stores, f"table {table.name}", lambda: f"version {stores.engine.latest_version(table)}, {table.uri}")


def _check(stores: Stores, name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name=name, ok=True, detail=stores.audit.redacted(look()))
    except CoreError as error:
        return Check(name=name, ok=False, detail="does not answer", advice=stores.audit.redacted(str(error)))


def _registered(stores: Stores) -> tuple[Table, ...]:
    try:
        return stores.catalog.tables()
    except CoreError:
        return ()  # the same failure is already told by the check of the engine
