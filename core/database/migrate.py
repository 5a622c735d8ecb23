"""Brings a database's schema up to date with the numbered migrations."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from core.errors import BadSettings

_MIGRATIONS = Path(__file__).resolve().parent / "migrations"
# The history of 0.1.0 had four branches, so its databases hold the ends of all four. Together they made the schema
# that the linear history has at 0009: the same migrations in one order. Databases from between two of those
# migrations were never released.
_ENDS_OF_0_1_0 = frozenset({"approvals", "job_tokens", "looks", "no_replace"})
_SAME_AS_0_1_0 = "0009"


def is_current(connection: Connection, shown: str) -> bool:
    """Return whether the schema is up to date. *shown* names the database in messages.

    Raises BadSettings for a schema of a newer ModelLedger or of another program.
    """
    scripts = ScriptDirectory.from_config(_config())
    revisions = set(MigrationContext.configure(connection).get_current_heads())
    if revisions == _ENDS_OF_0_1_0:
        return False
    unknown = revisions - {script.revision for script in scripts.walk_revisions()}
    if unknown:
        raise BadSettings(
            "The database {database} was made by a newer ModelLedger or by another program: revision {revisions} is "
            "not known here. Run that version, restore a backup, or name a database of ModelLedger's own in "
            "MODELLEDGER_DATABASE_URL.",
            database=shown,
            revisions=", ".join(sorted(unknown)),
            setting="MODELLEDGER_DATABASE_URL",
        )
    return revisions == set(scripts.get_heads())


def upgrade(connection: Connection) -> None:
    """Run the missing migrations within the caller's writing transaction."""
    if set(MigrationContext.configure(connection).get_current_heads()) == _ENDS_OF_0_1_0:
        connection.execute(sa.text("DELETE FROM alembic_version"))
        connection.execute(sa.text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": _SAME_AS_0_1_0})
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
