"""Catalog: the registered tables and their names."""

from __future__ import annotations

import os
import re
from pathlib import Path

from core.entities import Table
from core.errors import BadName, BadSettings, TableNotFound

NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_\-]{0,127}$")
_TABLE_AT = re.compile(r"^(?P<table>.+?)(?:@(?P<version>\d+))?$", re.DOTALL)
_CATALOG_NAME = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*){1,2}$")


class Catalog:
    """Registered tables: name=uri pairs, and every Delta table directly below a tables folder.

    *setting* is MODELLEDGER_TABLES. New tables are created in its first folder, or in *default* if it has none.
    """

    def __init__(self, setting: str | None, default: Path) -> None:
        self._pairs: dict[str, Table] = {}
        self._folders: list[str] = []
        for entry in filter(None, (part.strip() for part in (setting or "").split(","))):
            name, separator, uri = entry.partition("=")
            if separator and NAME.match(name.strip()):
                self._pairs[name.strip()] = Table(name=name.strip(), uri=_absolute(uri.strip()))
            elif separator and "://" not in entry:
                raise BadSettings(
                    "MODELLEDGER_TABLES: {name!r} is not a valid table name. Use letters, digits, _ and -.", name=name
                )
            else:
                self._folders.append(entry)
        if not self._folders:
            self._folders.append(str(default))

    def tables(self) -> tuple[Table, ...]:
        """Return all registered tables by name. Folders in object stores are not listed: tables there need a pair."""
        tables = dict(self._pairs)
        for folder in self._folders:
            if "://" in folder:
                continue
            root = Path(_absolute(folder))
            for log in filter(_has_entries, sorted(root.glob("*/_delta_log")) if root.is_dir() else []):
                tables.setdefault(log.parent.name, Table(name=log.parent.name, uri=str(log.parent)))
        return tuple(tables[name] for name in sorted(tables))

    def resolve(self, text: str, *, registered_only: bool = False) -> Table:
        """Return the table that *text* names: a registered name, or a path or URI unless *registered_only*.

        The table is not opened. Raises TableNotFound, which lists the registered names.
        """
        registered = {table.name: table for table in self.tables()}
        if text in registered:
            return registered[text]
        if not registered_only:
            for table in registered.values():
                if text.rstrip("/") == table.uri.rstrip("/"):
                    return table
            if "://" in text:
                return Table(name=text, uri=text)
            if "/" in text and Path(text).expanduser().is_dir():
                return Table(name=text, uri=_absolute(text))
        if not registered:
            raise TableNotFound(
                "There is no table {table!r}. No tables are registered yet; ingest a file to create one.", table=text
            )
        raise TableNotFound(
            "There is no table {table!r}. Registered tables: {tables}.", table=text, tables=", ".join(registered)
        )

    def place(self, name: str) -> Table:
        """Return the registered table *name*, or the table to create under that name. Raises BadName."""
        registered = {table.name: table for table in self.tables()}
        if name in registered:
            return registered[name]
        if not NAME.match(name):
            raise BadName(
                "{name!r} is not a valid table name: start with a letter or _, then use letters, digits, _ and -, "
                "at most 128 characters.",
                name=name,
            )
        folder = self._folders[0]
        uri = f"{folder.rstrip('/')}/{name}" if "://" in folder else str(Path(_absolute(folder)) / name)
        return Table(name=name, uri=uri)


def is_catalog_name(uri: str) -> bool:
    """Return whether *uri* is a name in Spark's catalog (risk.loans, main.risk.loans) and not a path or URI."""
    return _CATALOG_NAME.match(uri) is not None


def _absolute(uri: str) -> str:
    """Return *uri* with a local path made absolute: other processes that open the table have other working folders.

    A name in Spark's catalog (risk.loans) stays as it is, unless a folder of that name exists.
    """
    if "://" in uri or uri.startswith("file:") or (is_catalog_name(uri) and not Path(uri).exists()):
        return uri
    return os.path.abspath(os.path.expanduser(uri))


def _has_entries(log: Path) -> bool:
    """Return whether the log has a file: Delta Spark creates the folder before the first commit, which may not come.

    A log that cannot be listed counts as well: opening the table then reports the cause.
    """
    try:
        return any(entry.is_file() for entry in log.iterdir())
    except OSError:
        return True


def split_version(text: str) -> tuple[str, int | None]:
    """Return the table and the version of TABLE@N; without @N the version is None, which means the latest."""
    match = _TABLE_AT.match(text.strip())
    if match is None:
        raise BadName("Write TABLE, or TABLE@N for version N of a table.", name=text)
    version = match["version"]
    return match["table"], None if version is None else int(version)
