"""The database on either kind: an old schema is brought up to date, a foreign one refused, a reader sees one state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.command import upgrade
from alembic.config import Config
from alembic.script import ScriptDirectory

from core.audit.log import AuditLog
from core.database.engine import Database
from core.database.tables import events, heads, metadata
from core.entities import Actor, Outcome, Role
from core.errors import BadSettings
from tests.cli.conftest import Command, command  # noqa: F401 - a fixture, under its own name
from tests.postgres import PostgresServer

MIGRATIONS = Path(__file__).resolve().parents[2] / "core" / "database" / "migrations"
RELEASED = Path(__file__).parent / "released"
WHO = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")


@pytest.fixture
def engine(pristine_url: str) -> Iterator[sa.Engine]:
    """The database, past the application."""
    made = sa.create_engine(pristine_url, poolclass=sa.pool.NullPool)
    yield made
    made.dispose()


def bring_to(engine: sa.Engine, revision: str) -> None:
    """What an older ModelLedger left: its migrations, run by Alembic itself."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        upgrade(config, revision)


def shape(engine: sa.Engine) -> dict[str, set[str]]:
    """Tables and their columns."""
    found = sa.inspect(engine)
    return {table: {column["name"] for column in found.get_columns(table)} for table in found.get_table_names()}


# The first event that ModelLedger 0.1 wrote, by hand: its hash is SHA-256 over its canonical JSON.
FIRST = {
    **{"sequence": 1, "time": "2026-01-02T03:04:05.000006+00:00", "actor": "scientist", "role": "scientist"},
    **{"channel": "cli", "action": "data.ingest", "subject": "sales@0", "outcome": "success", "reason": "monthly"},
    **{"operation": "1" * 32, "before": "{}", "after": '{"rows":50}', "previous": "0" * 64, "hash": "2" * 64},
}

HEAD = {"size": 3, "last_hash": "3" * 64, "subtrees": "", "note": "", "purpose": "export", "made": datetime.now(UTC)}


@pytest.mark.parametrize("revision", ["0001", "0002", "0004", "0008"])
def test_a_start_on_an_older_schema_brings_it_up_to_date_and_keeps_its_rows(
    pristine_url: str, engine: sa.Engine, revision: str
) -> None:
    bring_to(engine, revision)
    assert shape(engine).keys() - {"alembic_version"} < {table.name for table in metadata.sorted_tables}
    names = ", ".join(f'"{name}"' for name in FIRST)
    with engine.begin() as connection:
        connection.execute(
            sa.text(f"INSERT INTO events ({names}) VALUES ({', '.join(':' + name for name in FIRST)})"), FIRST
        )
    database = Database(pristine_url)
    wanted = {table.name: {column.name for column in table.columns} for table in metadata.sorted_tables}
    assert {name: columns for name, columns in shape(engine).items() if name != "alembic_version"} == wanted
    (kept,) = AuditLog(database).events()
    assert (kept.sequence, kept.subject, kept.after, kept.hash) == (1, "sales@0", {"rows": 50}, "2" * 64)
    database.close()


def run_script(engine: sa.Engine, script: str) -> None:
    """Statements of a dump, as its own program would run them."""
    connection = engine.raw_connection()
    try:
        if engine.dialect.name == "sqlite":
            connection.driver_connection.executescript(script)  # type: ignore[union-attr]
        else:
            connection.cursor().execute(script)
            connection.commit()
    finally:
        connection.close()


def definitions(engine: sa.Engine) -> set[tuple[str, ...]]:
    """Every column, constraint, index and trigger as the database itself describes it, Alembic's table left out."""
    queries = {
        "sqlite": ["SELECT type, name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version'"],
        "postgresql": [
            "SELECT table_name, column_name, ordinal_position, data_type, character_maximum_length, is_nullable, "
            "column_default FROM information_schema.columns WHERE table_schema = 'public' "
            "AND table_name <> 'alembic_version'",
            "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass",
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
            "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
            "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
        ],
    }
    with engine.connect() as connection:
        rows = [row for query in queries[engine.dialect.name] for row in connection.execute(sa.text(query))]
    return {tuple(str(value) for value in row) for row in rows}


def test_database_of_the_released_0_1_0_opens_and_its_schema_is_that_of_a_new_database(
    pristine_url: str, engine: sa.Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # Dumps of databases that version 0.1.0 made, whose migrations had four branches.
    run_script(engine, (RELEASED / f"0.1.0.{engine.dialect.name}.sql").read_text(encoding="utf-8"))
    database = Database(pristine_url)
    migrated = definitions(engine)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all() == ["0012"]
    (event,) = AuditLog(database).events()
    assert (event.subject, event.reason, event.after) == ("sales@0", "monthly", {"rows": 50})
    assert AuditLog(database).verify().ok
    database.close()

    with ExitStack() as lent:
        if engine.dialect.name == "sqlite":
            new_url = f"sqlite:///{tmp_path / 'new.db'}"
        else:
            server: PostgresServer = request.getfixturevalue("postgres")
            new_url = lent.enter_context(server.pristine())
        Database(new_url).close()
        new = sa.create_engine(new_url, poolclass=sa.pool.NullPool)
        assert definitions(new) == migrated
        new.dispose()


def test_database_between_two_migrations_of_the_branched_history_is_refused(
    pristine_url: str, engine: sa.Engine
) -> None:
    run_script(engine, (RELEASED / f"0.1.0.{engine.dialect.name}.sql").read_text(encoding="utf-8"))
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM alembic_version WHERE version_num = 'looks'"))
    with pytest.raises(BadSettings, match=r"revision approvals, job_tokens, no_replace is not known here"):
        Database(pristine_url)


def test_migrations_are_numbered_in_one_line() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = list(ScriptDirectory.from_config(config).walk_revisions())[::-1]
    assert [script.revision for script in scripts] == [f"{number:04}" for number in range(1, len(scripts) + 1)]
    for script in scripts:
        assert Path(script.path).name.startswith(f"m{script.revision}_")


def test_the_second_start_finds_nothing_to_do_and_writes_nothing(pristine_url: str, engine: sa.Engine) -> None:
    Database(pristine_url).close()
    with engine.connect() as connection:
        connection.execute(sa.text("BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else "LOCK TABLE events"))
        # Whoever starts while somebody writes does not wait for him.
        Database(pristine_url).close()


def test_a_schema_of_a_newer_modelledger_is_refused_and_left_as_it_is(
    pristine_url: str,
    engine: sa.Engine,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,  # noqa: F811
) -> None:
    Database(pristine_url).close()
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE alembic_version SET version_num = 'from_2031' WHERE version_num = (SELECT "
                "min(version_num) FROM alembic_version)"
            )
        )
    before = shape(engine)
    with pytest.raises(BadSettings, match=r"made by a newer ModelLedger .*from_2031.*Run that version"):
        Database(pristine_url)

    monkeypatch.setenv("MODELLEDGER_DATABASE_URL", pristine_url)
    answer = command("audit", "log", "--json")
    assert (answer.code, answer.out) == (1, "")
    (line,) = answer.err.strip().splitlines()
    assert "from_2031" in line
    assert "not-for-logs" not in line
    assert shape(engine) == before
    with engine.connect() as connection:
        assert "from_2031" in connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all()


def test_a_database_of_another_program_is_refused_before_anything_is_made_in_it(
    pristine_url: str, engine: sa.Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(sa.text("INSERT INTO alembic_version VALUES ('451aebb31d03')"))
    with pytest.raises(BadSettings, match=r"another program: revision 451aebb31d03.*a database of ModelLedger's own"):
        Database(pristine_url)
    assert shape(engine).keys() == {"alembic_version"}


def test_a_reader_in_the_midst_of_a_writer_sees_one_state(database_url: str) -> None:
    database, other = Database(database_url), Database(database_url)
    log = AuditLog(database)
    log.append(WHO, "data.ingest", "sales@0", Outcome.SUCCESS)
    counts = sa.select(sa.func.count()).select_from(events), sa.select(sa.func.count()).select_from(heads)
    with other.read() as reader:
        assert reader.execute(counts[0]).scalar_one() == 1
        log.append(WHO, "data.ingest", "sales@1", Outcome.SUCCESS)
        with database.write() as writer:
            log.append_within(writer, WHO, "data.ingest", "sales@2", Outcome.SUCCESS)
            writer.execute(sa.insert(heads).values(HEAD))
        # Committed twice since: neither the table it has read nor the one that it has not.
        assert [reader.execute(query).scalar_one() for query in counts] == [1, 0]
    with other.read() as reader:
        assert [reader.execute(query).scalar_one() for query in counts] == [3, 1]
    database.close()
    other.close()


def test_a_writer_who_fails_leaves_no_part_of_what_he_wrote(database_url: str) -> None:
    database = Database(database_url)
    log = AuditLog(database)

    def write_and_fail() -> None:
        with database.write() as connection:
            log.append_within(connection, WHO, "data.ingest", "sales@0", Outcome.SUCCESS)
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert log.count() == 0
    database.close()


@pytest.mark.postgres
def test_what_only_reads_cannot_write_on_a_team_database(postgres: PostgresServer) -> None:
    with postgres.ledger() as url:
        database = Database(url)
        with pytest.raises(sa.exc.InternalError, match="read-only"), database.read() as connection:
            connection.execute(sa.insert(heads).values(HEAD))
        database.close()
