"""Heads of the audit log: made, signed and kept, each going on from the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.audit.log import GENESIS, AuditLog
from core.audit.proofs.checkpoint import (
    Checkpoint,
    SigningKey,
    VerifierKey,
    load_signing_key,
    open_note,
    read_checkpoint,
)
from core.audit.proofs.merkle import Frontier, Tree, leaf_hash
from core.database.engine import Database
from core.database.tables import heads as heads_table
from core.errors import AuditBroken, BadHead


@dataclass(frozen=True, kw_only=True)
class SignedHead:
    """A head with its signature as one text (*note*), ready to be kept elsewhere."""

    checkpoint: Checkpoint
    note: str
    key: VerifierKey
    purpose: str = ""

    @property
    def size(self) -> int:
        return self.checkpoint.size

    @property
    def root(self) -> bytes:
        return self.checkpoint.root


@dataclass(frozen=True, kw_only=True)
class KeptHead:
    """A head as the database keeps it: with the tree's perfect subtrees, so that the next one goes on from here."""

    head: SignedHead
    last_hash: str
    subtrees: tuple[bytes, ...]

    def frontier(self) -> Frontier:
        return Frontier(self.head.size, self.subtrees)


class Heads:
    """The signed heads of one log. The leaf of an event is its 32-byte hash, so a proof discloses no content.

    *trusted*: keys beside the own one, of other instances on the same database or from before a change of the key.
    """

    def __init__(
        self, database: Database, log: AuditLog, *, key_file: Path, name: str, trusted: tuple[VerifierKey, ...] = ()
    ) -> None:
        self._database, self._log, self._trusted = database, log, trusted
        self._key_file, self._name = key_file, name

    @cached_property
    def _signer(self) -> SigningKey:
        return load_signing_key(self._key_file, self._name)

    @property
    def key(self) -> VerifierKey:
        """The public key. Raises BadSettings."""
        return self._signer.verifier

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """The public keys whose signatures count here: this log's own first. Raises BadSettings."""
        return (self.key, *self._trusted)

    def open(self, note: str, *, keys: tuple[VerifierKey, ...] = ()) -> SignedHead:
        """A head that was exported before, by this log's key, a trusted one or one of *keys*. Raises BadHead."""
        text, key = open_note(note, (*self.keys, *keys))
        checkpoint = read_checkpoint(text)
        if checkpoint.origin != key.name:
            raise BadHead(
                f"The head is of the log {checkpoint.origin} and signed as {key.name}; that is no log's head."
            )
        return SignedHead(checkpoint=checkpoint, note=note, key=key)

    def make(self, purpose: str) -> SignedHead:
        """Signs the log as it is now; where nothing was appended since, the last head again.

        Costs what was appended since the last head. Raises AuditBroken where the log does not go on from that head:
        a log that lost or changed events is never signed.
        """
        size, last_hash = self._log.head()
        last = self.last()
        if last is not None:
            self._require_goes_on(last, size)
            if last.head.size == size:
                return last.head
        frontier = last.frontier() if last else Frontier()
        for text in self._log.hashes(after_sequence=frontier.size, until_sequence=size):
            frontier.add(leaf(text))
        if frontier.size != size:
            raise AuditBroken(f"The audit log counts to {size} and holds {frontier.size} events; verify it.")
        return self.keep(frontier, last_hash, purpose)

    def keep(self, frontier: Frontier, last_hash: str, purpose: str) -> SignedHead:
        """Signs and keeps the head over *frontier*, whose last event has *last_hash*."""
        made = datetime.now(UTC).replace(microsecond=0)
        checkpoint = Checkpoint(origin=self.key.name, size=frontier.size, root=frontier.root(), time=made)
        note = self._signer.sign(checkpoint.text)
        values = {
            "size": frontier.size,
            "last_hash": last_hash,
            "subtrees": " ".join(one.hex() for one in frontier.hashes),
            "note": note,
            "purpose": purpose,
            "made": made,
        }
        with self._database.write() as connection:
            connection.execute(sa.insert(heads_table).values(values))
        return SignedHead(checkpoint=checkpoint, note=note, key=self.key, purpose=purpose)

    def sign(self, text: str) -> str:
        """A signed note over *text* (lines, the last newline included) that is no head. Raises ValueError."""
        if text.split("\n")[1:2] and text.split("\n")[1].isdecimal():
            raise ValueError("a second line that is a number would make it a head")
        return self._signer.sign(text)

    def confirm(self, kept: KeptHead) -> None:
        """Raises AuditBroken where the log does not go on from *kept*."""
        self._require_goes_on(kept, self._log.head()[0])

    def last(self, *, purpose: str | None = None) -> KeptHead | None:
        """The newest head that can be believed: signed by this log's key, its subtrees leading to its root."""
        query = sa.select(heads_table).order_by(heads_table.c.size.desc(), heads_table.c.number.desc())
        if purpose is not None:
            query = query.where(heads_table.c.purpose == purpose)
        with self._database.read() as connection:
            for row in connection.execute(query).mappings():
                kept = self._kept(row)
                if kept is not None:
                    return kept
        return None

    def all(self) -> tuple[tuple[SignedHead, ...], int]:
        """Every kept head that this log's key signed, smallest first, and how many rows are no such head."""
        with self._database.read() as connection:
            rows = list(connection.execute(sa.select(heads_table.c.note, heads_table.c.purpose)).mappings())
        found, forged = [], 0
        for row in rows:
            try:
                found.append(self.open(row["note"]))
            except BadHead:
                forged += 1
        return tuple(sorted(found, key=lambda head: head.size)), forged

    def tree(self, size: int) -> Tree:
        """The tree over the first *size* events, for proofs. Event number s is leaf s - 1. Raises AuditBroken."""

        def leaves(first: int, last: int) -> Iterator[bytes]:
            return map(leaf, self._log.hashes(after_sequence=first, until_sequence=last))

        try:
            return Tree(size, leaves)
        except ValueError as error:
            raise AuditBroken(
                f"The audit log holds fewer than the {size} events that were signed; verify it."
            ) from error

    def _require_goes_on(self, last: KeptHead, size: int) -> None:
        if size < last.head.size:
            raise AuditBroken(
                f"The audit log ends at event {size}, but a head over {last.head.size} events was signed "
                f"({_when(last.head)}): its tail was cut off. No new head is signed."
            )
        there = next(self._log.hashes(after_sequence=last.head.size - 1, until_sequence=last.head.size), GENESIS)
        if there != last.last_hash:
            raise AuditBroken(
                f"Event {last.head.size} of the audit log is not the one that was signed ({_when(last.head)}): "
                "the log was rewritten. No new head is signed; verify the log to find where."
            )

    def _kept(self, row: Mapping[Any, Any]) -> KeptHead | None:
        try:
            head = self.open(row["note"])
            subtrees = tuple(bytes.fromhex(one) for one in row["subtrees"].split())
            kept = KeptHead(head=head, last_hash=row["last_hash"], subtrees=subtrees)
            return kept if head.size == row["size"] and kept.frontier().root() == head.root else None
        except (BadHead, ValueError):
            return None  # not ours, or altered: `all` counts it, and the verification tells of it


def leaf(event_hash: str) -> bytes:
    """Leaf hash of an event, from its hash in hex. Raises AuditBroken."""
    try:
        return leaf_hash(bytes.fromhex(event_hash))
    except ValueError as error:
        raise AuditBroken(f"The audit log holds {event_hash[:80]!r} where a hash should be; verify it.") from error


def printable(head: SignedHead) -> str:
    """A head on paper: what it is, what it says, and the note itself."""
    root = head.root.hex()
    groups = " ".join(root[place : place + 8] for place in range(0, len(root), 8))
    return (
        f"Head of the audit log {head.checkpoint.origin}\n\n"
        f"Events     {head.size}\n"
        f"Root       {groups}\n"
        f"Signed     {_when(head)}\n"
        f"Key        {head.key}\n"
        f"Key SHA-256 {head.key.fingerprint}\n\n"
        "Keep this where nobody who runs ModelLedger can change it. The log can later be verified against it:\n"
        "python -m core audit verify --against FILE, where FILE holds the lines between the rules.\n\n"
        f"{'-' * 72}\n{head.note}{'-' * 72}\n"
    )


def _when(head: SignedHead) -> str:
    time = head.checkpoint.time
    return f"{time:%Y-%m-%d %H:%M:%S} UTC" if time else "at an unknown time"
