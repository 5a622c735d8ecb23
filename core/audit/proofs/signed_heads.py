"""Signed heads of the audit log: made, stored and opened. Each head continues the head before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.audit.hash_chain import GENESIS
from core.audit.log import AuditLog
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
    """A head with its signature. *note* is the text of both, to be kept elsewhere."""

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
    """A head as the database stores it: with the tree's perfect subtrees, from which the next head continues."""

    head: SignedHead
    last_hash: str
    subtrees: tuple[bytes, ...]

    def frontier(self) -> Frontier:
        return Frontier(self.head.size, self.subtrees)


class Heads:
    """The signed heads of one log. The leaf of an event is its 32-byte hash, so a proof discloses no content.

    *trusted* are further public keys: of other instances on the same database, and keys used before a change of key.
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
        """The public keys whose signatures are accepted, this log's own key first. Raises BadSettings."""
        return (self.key, *self._trusted)

    def open(self, note: str, *, keys: tuple[VerifierKey, ...] = ()) -> SignedHead:
        """Return an exported head that this log's key, a trusted key or one of *keys* signed. Raises BadHead."""
        text, key = open_note(note, (*self.keys, *keys))
        checkpoint = read_checkpoint(text)
        if checkpoint.origin != key.name:
            raise BadHead(
                "This head names the log {log} but is signed as {key}. It is not a signed head of either log.",
                log=checkpoint.origin,
                key=key.name,
            )
        return SignedHead(checkpoint=checkpoint, note=note, key=key)

    def make(self, purpose: str) -> SignedHead:
        """Sign the log as it is now; return the last head where no event was appended since.

        The time grows with the number of events since the last head. Raises AuditBroken where the log does not
        continue from that head: a log that lost or changed events is never signed.
        """
        size, last_hash = self._log.head()
        last = self.last()
        if last is not None:
            self._require_continues(last, size)
            if last.head.size == size:
                return last.head
        frontier = last.frontier() if last else Frontier()
        for text in self._log.hashes(after_sequence=frontier.size, until_sequence=size):
            frontier.add(leaf(text))
        if frontier.size != size:
            raise AuditBroken(
                "The newest event of the audit log has number {size}, but the log has {count} events. Verify the log.",
                size=size,
                count=frontier.size,
            )
        return self.keep(frontier, last_hash, purpose)

    def keep(self, frontier: Frontier, last_hash: str, purpose: str) -> SignedHead:
        """Sign and store the head over *frontier*, whose last event has the hash *last_hash*."""
        made = datetime.now(UTC).replace(microsecond=0)
        checkpoint = Checkpoint(origin=self.key.name, size=frontier.size, root=frontier.root(), time=made)
        note = self._signer.sign(checkpoint.text)
        values = {
            "size": frontier.size,
            "last_hash": last_hash,
            "subtrees": " ".join(subtree.hex() for subtree in frontier.hashes),
            "note": note,
            "purpose": purpose,
            "made": made,
        }
        with self._database.write() as connection:
            connection.execute(sa.insert(heads_table).values(values))
        return SignedHead(checkpoint=checkpoint, note=note, key=self.key, purpose=purpose)

    def sign(self, text: str) -> str:
        """Return a signed note over *text* (whole lines) that cannot be read as a head. Raises ValueError."""
        if text.split("\n")[1:2] and text.split("\n")[1].isdecimal():
            raise ValueError("the text would be a head, because its second line is a number")
        return self._signer.sign(text)

    def confirm(self, kept: KeptHead) -> None:
        """Raise AuditBroken where the log does not continue from *kept*."""
        self._require_continues(kept, self._log.head()[0])

    def last(self, *, purpose: str | None = None) -> KeptHead | None:
        """Return the newest valid head: signed with an accepted key, and with subtrees that lead to its root."""
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
        """Return the stored heads that an accepted key signed, smallest first, and the number of other rows."""
        with self._database.read() as connection:
            rows = list(connection.execute(sa.select(heads_table.c.note, heads_table.c.purpose)).mappings())
        heads, forged = [], 0
        for row in rows:
            try:
                heads.append(self.open(row["note"]))
            except BadHead:
                forged += 1
        return tuple(sorted(heads, key=lambda head: head.size)), forged

    def tree(self, size: int) -> Tree:
        """Return the tree over the first *size* events, for proofs. Event s is leaf s - 1. Raises AuditBroken."""

        def leaves(first: int, last: int) -> Iterator[bytes]:
            return map(leaf, self._log.hashes(after_sequence=first, until_sequence=last))

        try:
            return Tree(size, leaves)
        except ValueError as error:
            raise AuditBroken(
                "The audit log has fewer events than the {size} that were signed. Verify the log.", size=size
            ) from error

    def _require_continues(self, last: KeptHead, size: int) -> None:
        if size < last.head.size:
            raise AuditBroken(
                "The audit log ends at event {size}, but a head over {signed} events was signed ({time}): the tail of "
                "the log was cut off. No new head is signed.",
                size=size,
                signed=last.head.size,
                time=_when(last.head),
            )
        last_hash = next(self._log.hashes(after_sequence=last.head.size - 1, until_sequence=last.head.size), GENESIS)
        if last_hash != last.last_hash:
            raise AuditBroken(
                "Event {number} of the audit log differs from the event that was signed ({time}): the log was "
                "rewritten. No new head is signed. Verify the log to find the first difference.",
                number=last.head.size,
                time=_when(last.head),
            )

    def _kept(self, row: Mapping[Any, Any]) -> KeptHead | None:
        try:
            head = self.open(row["note"])
            subtrees = tuple(bytes.fromhex(subtree) for subtree in row["subtrees"].split())
            kept = KeptHead(head=head, last_hash=row["last_hash"], subtrees=subtrees)
            return kept if head.size == row["size"] and kept.frontier().root() == head.root else None
        except (BadHead, ValueError):
            return None  # a foreign or altered row: `all` counts it, and the verification reports it


def leaf(event_hash: str) -> bytes:
    """Return the leaf hash of an event from its hash in hex. Raises AuditBroken."""
    try:
        return leaf_hash(bytes.fromhex(event_hash))
    except ValueError as error:
        raise AuditBroken(
            "The audit log has the invalid hash {hash!r}. Verify the log.", hash=event_hash[:80]
        ) from error


def printable(head: SignedHead) -> str:
    """Return a text to print: the name, the numbers and the note of a head."""
    root = head.root.hex()
    groups = " ".join(root[start : start + 8] for start in range(0, len(root), 8))
    return (
        f"Head of the audit log {head.checkpoint.origin}\n\n"
        f"Events     {head.size}\n"
        f"Root       {groups}\n"
        f"Signed     {_when(head)}\n"
        f"Key        {head.key}\n"
        f"Key SHA-256 {head.key.fingerprint}\n\n"
        "Keep this text where nobody who runs ModelLedger can change it. To verify the log against it later, save the\n"
        "lines between the rules as FILE and run: python -m core audit verify --against FILE\n\n"
        f"{'-' * 72}\n{head.note}{'-' * 72}\n"
    )


def _when(head: SignedHead) -> str:
    time = head.checkpoint.time
    return f"{time:%Y-%m-%d %H:%M:%S} UTC" if time else "at an unknown time"
