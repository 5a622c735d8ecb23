"""Signed heads: the published format, keys that stay private, and what is found with a head that was kept elsewhere."""

from __future__ import annotations

import base64
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.audit.hash_chain import GENESIS, event_hash
from core.audit.log import AuditLog
from core.audit.proofs.checkpoint import SigningKey, VerifierKey, load_signing_key, open_note, read_checkpoint
from core.audit.proofs.merkle import leaf_hash
from core.audit.proofs.signed_heads import Heads, printable
from core.audit.proofs.verification import verify_log
from core.database.engine import Database
from core.database.tables import events
from core.entities import Actor, Outcome, Role
from core.errors import AuditBroken, BadHead, BadSettings
from tests.core.rfc9162 import proves_inclusion
from tests.postgres import PostgresServer

SCIENTIST = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")

# golang.org/x/mod, sumdb/note: the package's own example of a key, a text and its signature.
GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
GO_NOTE = f"{GO_TEXT}\n\N{EM DASH} PeterNeumann {GO_SIGNATURE}\n"
# C2SP, tlog-checkpoint.md: the specification's example of a head.
SPEC_HEAD = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

ByHand = Callable[[str], None]


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(database_url)


@pytest.fixture
def log(database: Database) -> AuditLog:
    made = AuditLog(database)
    append(made, 1, 20)
    return made


@pytest.fixture
def heads(database: Database, log: AuditLog, tmp_path: Path) -> Heads:
    return Heads(database, log, key_file=tmp_path / "key.pem", name="bank.example/ledger")


@pytest.fixture
def by_hand(database_url: str, request: pytest.FixtureRequest) -> ByHand:
    """Statements past the application, all triggers dropped first, as the owner of the database can."""

    def run(sql: str) -> None:
        if database_url.startswith("sqlite"):
            connection = sqlite3.connect(database_url.removeprefix("sqlite:///"))
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            drops = "".join(f"DROP TRIGGER {name};" for (name,) in names)
            connection.executescript(f"{drops}{sql};")
            connection.close()
            return
        server: PostgresServer = request.getfixturevalue("postgres")
        drop = "DROP TRIGGER IF EXISTS events_no_change ON events; DROP TRIGGER IF EXISTS heads_no_change ON heads;"
        server.run(database_url, f"{drop}{sql};")

    return run


def append(log: AuditLog, first: int, last: int) -> None:
    for number in range(first, last + 1):
        log.append(SCIENTIST, "data.ingest", f"table@{number}", Outcome.SUCCESS, after={"rows": number})


def rewrite(database: Database, by_hand: ByHand, first: int, **changes: str) -> None:
    """What somebody with the database and this source can do: alter an event and recompute every hash after it."""
    by_hand("SELECT 1")
    columns = [sa.type_coerce(column, sa.Text).label(column.name) for column in events.c if column.name != "sequence"]
    with database.write() as connection:
        rows = [dict(row) for row in connection.execute(sa.select(events.c.sequence, *columns)).mappings()]
        previous = GENESIS
        for row in sorted(rows, key=lambda one: one["sequence"]):
            if row["sequence"] == first:
                row.update(changes)
            row["previous"] = previous
            previous = row["hash"] = event_hash(row)
            connection.execute(
                sa.update(events)
                .where(events.c.sequence == row["sequence"])
                .values(reason=row["reason"], previous=row["previous"], hash=row["hash"])
            )


def test_notes_are_signed_as_the_reference_implementation_signs_them() -> None:
    seed = base64.b64decode(GO_PRIVATE.split("+", 4)[4])[1:]
    key = SigningKey("PeterNeumann", Ed25519PrivateKey.from_private_bytes(seed))
    assert str(key.verifier) == GO_PUBLIC
    assert key.sign(GO_TEXT) == GO_NOTE
    assert open_note(GO_NOTE, (VerifierKey.parse(GO_PUBLIC),))[0] == GO_TEXT


def test_the_specifications_head_is_read_and_written_back() -> None:
    head = read_checkpoint(SPEC_HEAD)
    assert (head.origin, head.size) == ("example.com/behind-the-sofa", 20852163)
    assert head.root.hex() == "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62"
    assert head.text == SPEC_HEAD


@pytest.mark.parametrize(
    "note",
    [
        "",
        "no note",
        GO_TEXT,
        GO_NOTE.replace("answer", "anzwer"),
        GO_NOTE.replace(GO_SIGNATURE, "x08g!!"),
        GO_NOTE.replace("PeterNeumann", "Somebody"),
        GO_NOTE + "x" * 200_000,
    ],
)
def test_a_note_that_was_not_signed_like_this_is_refused(note: str) -> None:
    with pytest.raises(BadHead):
        open_note(note, (VerifierKey.parse(GO_PUBLIC),))


@pytest.mark.parametrize(
    "text", ["a\n1\n", "a\n01\nAAAA\n", "a\n-1\nAAAA\n", "a\n1\nAAAA\n", "a\n1\n!\n", "a\nb\nc\nd"]
)
def test_a_text_that_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(BadHead):
        read_checkpoint(text)


@pytest.mark.parametrize("text", ["", "a+b+c", GO_PUBLIC[:-4], GO_PUBLIC.replace("c74f20a3", "c74f20a4")])
def test_a_public_key_that_does_not_fit_its_id_is_refused(text: str) -> None:
    with pytest.raises(BadHead):
        VerifierKey.parse(text)


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "key.pem"
    first, second = load_signing_key(file, "a"), load_signing_key(file, "a")
    assert first.verifier == second.verifier
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["key.pem"]
    file.chmod(0o644)
    with pytest.raises(BadSettings, match="chmod 600"):
        load_signing_key(file, "a")


def test_a_file_that_holds_no_key_is_a_setting_to_correct(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text("no key")
    file.chmod(0o600)
    with pytest.raises(BadSettings, match="is not a signing key"):
        load_signing_key(file, "a")


def test_a_head_covers_all_events_and_is_made_once(log: AuditLog, heads: Heads) -> None:
    head = heads.make("export")
    assert head.size == 20
    assert heads.make("export") == heads.open(head.note)
    append(log, 21, 23)
    later = heads.make("export")
    assert later.size == 23
    assert heads.tree(23).root() == later.root
    assert head.note in printable(head)


def test_each_event_is_proven_by_its_hash_and_the_head_alone(log: AuditLog, heads: Heads) -> None:
    head = heads.make("export")
    tree = heads.tree(head.size)
    for event in log.events():
        leaf = leaf_hash(bytes.fromhex(event.hash))
        path = tree.inclusion(event.sequence - 1)
        assert proves_inclusion(leaf, event.sequence - 1, head.size, path, head.root)


def test_an_untouched_log_holds_and_is_signed(log: AuditLog, heads: Heads) -> None:
    told: list[tuple[int, int]] = []
    verdict = verify_log(log, heads, on_progress=lambda seen, total: told.append((seen, total)))
    assert (verdict.ok, verdict.events, verdict.first_broken, verdict.findings) == (True, 20, None, ())
    assert verdict.head is not None
    assert verdict.head.size == 20
    assert told[-1] == (20, 20)


def test_an_empty_log_holds(database: Database, tmp_path: Path) -> None:
    log = AuditLog(database)
    verdict = verify_log(log, Heads(database, log, key_file=tmp_path / "k", name="n"))
    assert (verdict.ok, verdict.events) == (True, 0)


def test_an_incremental_verification_reads_only_what_is_new(log: AuditLog, heads: Heads) -> None:
    verify_log(log, heads)
    append(log, 21, 25)
    verdict = verify_log(log, heads, incremental=True)
    assert (verdict.ok, verdict.events, verdict.verified_from) == (True, 25, 21)
    assert verdict.head is not None
    assert verdict.head.root == heads.tree(25).root()
    assert "not read again" in verdict.detail


def test_an_incremental_verification_against_an_older_head_reads_everything(log: AuditLog, heads: Heads) -> None:
    old = heads.make("export")
    append(log, 21, 25)
    verify_log(log, heads)
    append(log, 26, 27)
    verdict = verify_log(log, heads, against=(old,), incremental=True)
    assert (verdict.ok, verdict.verified_from) == (True, 1)


def test_a_cut_tail_is_found_against_an_earlier_head(log: AuditLog, heads: Heads, by_hand: ByHand) -> None:
    kept = heads.make("export")
    by_hand("DELETE FROM events WHERE sequence > 17; DELETE FROM heads")
    assert log.verify().ok
    verdict = verify_log(log, heads, against=(kept,))
    assert (verdict.ok, verdict.first_broken, verdict.last_broken) == (False, 18, 18)
    assert "events 18 to 20 were cut off" in verdict.detail
    assert verdict.head is None


def test_a_cut_tail_that_grew_again_is_found(log: AuditLog, heads: Heads, by_hand: ByHand) -> None:
    kept = heads.make("export")
    by_hand("DELETE FROM events WHERE sequence > 17; DELETE FROM heads")
    append(log, 118, 130)
    assert log.verify().ok
    verdict = verify_log(log, heads, against=(kept,))
    assert not verdict.ok
    assert (verdict.first_broken, verdict.last_broken) == (1, 20)


def test_a_rewritten_chain_is_found_against_an_earlier_head(
    database: Database, log: AuditLog, heads: Heads, by_hand: ByHand
) -> None:
    kept = heads.make("export")
    by_hand("DELETE FROM heads")
    rewrite(database, by_hand, 1, reason="never happened")
    append(log, 21, 30)
    assert log.verify().ok
    assert verify_log(log, heads).ok
    verdict = verify_log(log, heads, against=(kept,))
    assert (verdict.ok, verdict.first_broken, verdict.last_broken) == (False, 1, 20)


def test_heads_narrow_down_where_a_chain_was_rewritten(
    database: Database, log: AuditLog, heads: Heads, by_hand: ByHand
) -> None:
    for first, last in ((21, 30), (31, 40)):
        heads.make("schedule")
        append(log, first, last)
    heads.make("schedule")
    rewrite(database, by_hand, 26, reason="never happened")
    assert log.verify().ok
    verdict = verify_log(log, heads)
    assert (verdict.ok, verdict.first_broken, verdict.last_broken) == (False, 21, 30)
    assert "events 21 to 30" in verdict.detail


def test_a_rewritten_or_cut_log_is_never_signed_again(
    database: Database, log: AuditLog, heads: Heads, by_hand: ByHand
) -> None:
    heads.make("export")
    rewrite(database, by_hand, 5, reason="never happened")
    append(log, 21, 22)
    with pytest.raises(AuditBroken, match="rewritten"):
        heads.make("export")
    by_hand("DELETE FROM events WHERE sequence > 10")
    with pytest.raises(AuditBroken, match="cut off"):
        heads.make("export")


@pytest.mark.parametrize(
    ("sql", "position"),
    [
        ("UPDATE events SET reason = 'other' WHERE sequence = 7", 7),
        ("DELETE FROM events WHERE sequence = 7", 7),
        ("UPDATE events SET sequence = 99 WHERE sequence = 7; UPDATE events SET sequence = 7 WHERE sequence = 8", 7),
        ("UPDATE events SET hash = 'x' WHERE sequence = 7", 7),
    ],
)
def test_what_was_done_to_one_event_is_located(
    log: AuditLog, heads: Heads, by_hand: ByHand, sql: str, position: int
) -> None:
    kept = heads.make("export")
    by_hand(sql)
    for verdict in (verify_log(log, heads, against=(kept,)), verify_log(log, heads, incremental=True)):
        assert (verdict.ok, verdict.first_broken, verdict.last_broken) == (False, position, position)


def test_a_fault_before_the_last_verified_head_is_located_by_an_incremental_verification_that_meets_it(
    database: Database, log: AuditLog, heads: Heads, by_hand: ByHand
) -> None:
    verify_log(log, heads)
    append(log, 21, 25)
    rewrite(database, by_hand, 20, reason="never happened")
    verdict = verify_log(log, heads, incremental=True)
    assert (verdict.ok, verdict.verified_from) == (False, 1)
    assert verdict.last_broken == 20


def test_a_forged_head_in_the_database_is_told(log: AuditLog, heads: Heads, by_hand: ByHand, tmp_path: Path) -> None:
    heads.make("export")
    other = load_signing_key(tmp_path / "other.pem", "bank.example/ledger")
    forged = other.sign(heads.make("export").checkpoint.text)
    by_hand(f"UPDATE heads SET note = '{forged}'")
    assert heads.last() is None
    verdict = verify_log(log, heads)
    assert not verdict.ok
    assert "this log's key did not sign" in verdict.detail


def test_a_head_of_another_key_is_opened_only_where_the_key_is_named(heads: Heads, tmp_path: Path) -> None:
    other = load_signing_key(tmp_path / "other.pem", "bank.example/ledger")
    note = other.sign(heads.make("export").checkpoint.text)
    with pytest.raises(BadHead, match="not signed with a key of this log"):
        heads.open(note)
    assert heads.open(note, keys=(other.verifier,)).size == 20


def test_heads_cannot_be_changed_through_the_database_by_accident(database: Database, heads: Heads) -> None:
    heads.make("export")
    last = "TRUNCATE heads" if database.is_postgres else "REPLACE INTO heads SELECT * FROM heads"
    for sql in ("UPDATE heads SET size = 1", "DELETE FROM heads", last):
        with pytest.raises(Exception, match="append-only"), database.write() as connection:
            connection.execute(sa.text(sql))
