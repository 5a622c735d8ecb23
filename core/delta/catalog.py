"""The catalog: which names stand for which tables."""

from __future__ import annotations

import os
import re
from pathlib import Path

from core.delta.spark.data_types import is_catalog_name
from core.entities import Table
from core.errors import BadName, BadSettings, TableNotFound

NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_\-]{0,127}$")
_TABLE_AT = re.compile(r"^(?P<table>.+?)(?:@(?P<version>\d+))?$", re.DOTALL)


class Catalog:
    """Registered tables: name=uri pairs, and every Delta table lying directly in a tables folder.

    *places* is the setting MODELLEDGER_TABLES; new tables are made in its first folder, else in *default*.
    """

    def __init__(self, places: str | None, default: Path) -> None:
        self._pairs: dict[str, Table] = {}
        self._folders: list[str] = []
        for place in filter(None, (part.strip() for part in (places or "").split(","))):
            name, separator, uri = place.partition("=")
            if separator and NAME.match(name.strip()):
                self._pairs[name.strip()] = Table(name=name.strip(), uri=_absolute(uri.strip()))
            elif separator and "://" not in place:
                raise BadSettings(f"MODELLEDGER_TABLES: {name!r} is no table name; use letters, digits, _ and -.")
            else:
                self._folders.append(place)
        if not self._folders:
            self._folders.append(str(default))

    def tables(self) -> tuple[Table, ...]:
        """All registered tables by name. Folders on object stores list nothing: name those tables as pairs."""
        found = dict(self._pairs)
        for folder in self._folders:
            if "://" in folder:
                continue
            root = Path(_absolute(folder))
            for log in filter(_was_committed_to, sorted(root.glob("*/_delta_log")) if root.is_dir() else []):
                found.setdefault(log.parent.name, Table(name=log.parent.name, uri=str(log.parent)))
        return tuple(found[name] for name in sorted(found))

    def resolve(self, text: str, *, registered_only: bool = False) -> Table:
        """The table that *text* names: a registered name, else a path or URI (unless *registered_only*).

        Raises TableNotFound, which lists the registered names. Does not open the table.
        """
        known = {table.name: table for table in self.tables()}
        if text in known:
            return known[text]
        if not registered_only:
            for table in known.values():
                if text.rstrip("/") == table.uri.rstrip("/"):
                    return table
            if "://" in text:
                return Table(name=text, uri=text)
            if "/" in text and Path(text).expanduser().is_dir():
                return Table(name=text, uri=_absolute(text))
        names = ", ".join(known) or "none yet; ingest a file to make one"
        raise TableNotFound(f"There is no table {text!r}. Tables here: {names}.", table=text)

    def place(self, name: str) -> Table:
        """The registered table *name*, or where a new table of that name is to be made. Raises BadName."""
        known = {table.name: table for table in self.tables()}
        if name in known:
            return known[name]
        if not NAME.match(name):
            raise BadName(
                f"{name!r} cannot name a table: start with a letter or _, then letters, digits, _ and -, at most 128.",
                name=name,
            )
        folder = self._folders[0]
        uri = f"{folder.rstrip('/')}/{name}" if "://" in folder else str(Path(_absolute(folder)) / name)
        return Table(name=name, uri=uri)


def _absolute(uri: str) -> str:
    """*uri* with a path on this machine made absolute: what else opens the table has a working folder of its own.

    A name in Spark's catalog (risk.loans) stays one, unless it is a folder here.
    """
    if "://" in uri or uri.startswith("file:") or (is_catalog_name(uri) and not Path(uri).exists()):
        return uri
    return os.path.abspath(os.path.expanduser(uri))


def _was_committed_to(log: Path) -> bool:
    """Whether the log ever held anything: Delta Spark makes the folder before a first commit, which may never come.

    A log that cannot be listed is there all the same; what is wrong with it is told when the table is opened.
    """
    try:
        return any(entry.is_file() for entry in log.iterdir())
    except OSError:
        return True


def split_version(text: str) -> tuple[str, int | None]:
    """Splits TABLE@N into the table's text and N; without @N the version is None (the latest)."""
    match = _TABLE_AT.match(text.strip())
    if match is None:
        raise BadName("Name a table, or a table and a version: TABLE or TABLE@N.", name=text)
    version = match["version"]
    return match["table"], None if version is None else int(version)
