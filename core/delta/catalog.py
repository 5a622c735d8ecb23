"""Catalog: the registered tables and their names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core.delta.addresses import account_of, address, is_catalog_name, likely_address
from core.entities import Table
from core.errors import BadName, BadSettings, TableNotFound
from core.texts import text

NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_\-]{0,127}$")
_TABLE_AT = re.compile(r"^(?P<table>.+?)(?:@(?P<version>\d+))?$", re.DOTALL)


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

    def registered(self) -> RegisteredTables:
        """Return the registered tables as they are now, to resolve what others say about tables."""
        return RegisteredTables(self.tables())

    def resolve(self, reference: str, *, registered_only: bool = False) -> Table:
        """Return the table that a user names: a registered name, or a path or URI unless *registered_only*.

        The table is not opened. A text that comes from MLflow or from a table's metadata must not be passed here, but
        to `RegisteredTables.find`: an address that is not registered would be returned, and then opened.

        Raises TableNotFound, which lists the registered names.
        """
        tables = self.registered()
        if reference in tables.by_name:
            return tables.by_name[reference]
        if not registered_only:
            table = tables.find(reference)
            if table is not None:
                return table
            if "://" in reference or reference.startswith("file:"):
                return Table(name=reference, uri=reference)
            if "/" in reference and Path(reference).expanduser().is_dir():
                return Table(name=reference, uri=_absolute(reference))
        if not tables.by_name:
            raise TableNotFound(
                "There is no table {table!r}. No tables are registered yet; ingest a file to create one.",
                table=reference,
            )
        raise TableNotFound(
            "There is no table {table!r}. Registered tables: {tables}.",
            table=reference,
            tables=", ".join(tables.by_name),
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


@dataclass(frozen=True, kw_only=True)
class Match:
    """A registered table that a reference means. *weak* is the reason why another table may be meant."""

    table: Table
    weak: str | None = None


class RegisteredTables:
    """The registered tables at one time, found by any spelling of their name or address. No table is opened."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self.by_name = {table.name: table for table in tables}
        self._by_address: dict[str, Table] = {}
        self._by_likely_address: dict[str, list[Table]] = {}
        for table in self.by_name.values():
            # Two names of one address are one table.
            key = address(table.uri) or table.uri
            if self._by_address.setdefault(key, table) is table:
                self._by_likely_address.setdefault(likely_address(table.uri) or table.uri, []).append(table)

    def find(self, reference: str) -> Table | None:
        """Return the table of that name or address; None if it is not registered."""
        named = self.by_name.get(reference.strip())
        key = address(named.uri if named else reference)
        return self._by_address.get(key or (named.uri if named else ""), named)

    def match(self, reference: str) -> Match | None:
        """Return the table that *reference* means; None if no registered table or more than one may be meant.

        Beyond `find`, parts that writers leave out are left out: the account of an Azure container, dbfs: before a path
        on Databricks, the catalog and schema before a table's name. Such a match is weak.
        """
        table = self.find(reference)
        if table is not None:
            return Match(table=table)
        account = account_of(reference)
        likely = [
            table
            for table in self._by_likely_address.get(likely_address(reference) or "", [])
            if not account or not account_of(table.uri)
        ]
        exact = address(reference) or ""
        if not likely and exact.startswith("catalog:"):
            likely = self._by_end_of_name(exact.removeprefix("catalog:"))
        if len(likely) != 1:
            return None
        weak = text("{claimed} may be another table than {table}.", claimed=reference, table=likely[0].name)
        return Match(table=likely[0], weak=weak)

    def _by_end_of_name(self, name: str) -> list[Table]:
        """Return the tables whose name, or name in the catalog, is the end of *name*, or ends in *name*."""
        tables: dict[str, Table] = {}
        for table in self.by_name.values():
            key = address(table.uri) or ""
            registered = key.removeprefix("catalog:") if key.startswith("catalog:") else table.name.lower()
            if f".{name}".endswith(f".{registered}") or f".{registered}".endswith(f".{name}"):
                tables[key] = table
        return list(tables.values())


def _absolute(uri: str) -> str:
    """Return *uri* with a local path made absolute: other processes that open the table have other working folders.

    A name in Spark's catalog (risk.loans) stays as it is, unless a folder of that name exists.
    """
    if "://" in uri or uri.startswith(("file:", "dbfs:")) or (is_catalog_name(uri) and not Path(uri).exists()):
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
