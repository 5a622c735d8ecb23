"""Verification of the audit log: its chain, the signed heads in the database and heads kept elsewhere, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core.audit.hash_chain import GENESIS
from core.audit.log import AuditLog
from core.audit.proofs.merkle import Frontier
from core.audit.proofs.signed_heads import Heads, SignedHead, leaf
from core.entities import ChainVerdict, TamperedRow
from core.texts import text

# The purpose of heads that were signed after every event up to them was recomputed.
VERIFIED = "verify"


@dataclass(frozen=True, kw_only=True)
class LogVerdict:
    """The result of a verification.

    The first difference is between the events *first_broken* and *last_broken*; the numbers are equal where it is
    located exactly. Events before *verified_from* were not read again. *findings* are sentences, none if *ok*. *head*
    is the head that was signed over the verified events. *tampered_rows* are rows of requests, approvals and findings
    that differ from the log; their sentences are among *findings*.
    """

    ok: bool
    events: int
    verified_from: int
    first_broken: int | None
    last_broken: int | None
    findings: tuple[str, ...]
    chain: ChainVerdict
    compared: int
    head: SignedHead | None
    tampered_rows: tuple[TamperedRow, ...] = ()

    @property
    def detail(self) -> str:
        if self.findings:
            return " ".join(self.findings)
        intact = text(
            "All {count} events are intact. Signed heads that match: {heads}.", count=self.events, heads=self.compared
        )
        if self.verified_from <= 1:
            return intact
        earlier = text(
            "Events before {number} were verified earlier and were not read again.", number=self.verified_from
        )
        return f"{intact} {earlier}"


class _HeadComparison:
    """Compares the growing tree with each head when the tree reaches the head's size."""

    def __init__(self, heads: Iterable[SignedHead], frontier: Frontier) -> None:
        self._frontier = frontier
        self._heads = sorted((head for head in heads if head.size >= frontier.size), key=lambda head: head.size)
        self._position = 0
        self.last_match = frontier.size
        self.compared = 0
        self.mismatch: SignedHead | None = None
        self._compare()

    @property
    def larger_heads(self) -> list[SignedHead]:
        """The heads over more events than the tree has."""
        return self._heads[self._position :]

    def add_event(self, sequence: int, event_hash: str) -> None:
        self._frontier.add(leaf(event_hash))
        if self._position < len(self._heads) and self._heads[self._position].size == sequence:
            self._compare()

    def _compare(self) -> None:
        while self._position < len(self._heads) and self._heads[self._position].size == self._frontier.size:
            head = self._heads[self._position]
            self._position += 1
            self.compared += 1
            if head.root != self._frontier.root():
                self.mismatch = self.mismatch or head
            elif self.mismatch is None:
                self.last_match = head.size


def verify_log(
    log: AuditLog,
    heads: Heads,
    *,
    against: tuple[SignedHead, ...] = (),
    incremental: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> LogVerdict:
    """Recompute the chain and the tree, compare the tree with every head, and sign a new head if all is intact.

    *incremental* continues from the last head that a verification signed. A head of *against* over fewer events makes
    the verification start from the first event, because only the whole log can prove that head. So does a fault, to
    locate the fault.
    """
    if incremental:
        verdict = _verify(log, heads, against, incremental=True, on_progress=on_progress)
        if verdict.ok or verdict.verified_from == 1:
            return verdict
    return _verify(log, heads, against, incremental=False, on_progress=on_progress)


def _verify(
    log: AuditLog,
    heads: Heads,
    against: tuple[SignedHead, ...],
    *,
    incremental: bool,
    on_progress: Callable[[int, int], None] | None,
) -> LogVerdict:
    kept, forged = heads.all()
    start = heads.last(purpose=VERIFIED) if incremental else None
    if start is not None and (start.head.size > log.head()[0] or any(head.size < start.head.size for head in against)):
        start = None
    frontier = start.frontier() if start else Frontier()
    begun = frontier.size
    comparison = _HeadComparison((*kept, *against), frontier)
    chain = log.verify(
        start=(begun, start.last_hash) if start else (0, GENESIS),
        on_event=comparison.add_event,
        on_progress=on_progress,
    )
    findings: list[str] = []
    first = last = None
    if not chain.ok:
        first = last = chain.first_broken
        findings.append(f"{chain.detail[:1].upper()}{chain.detail[1:]}.")
    if comparison.mismatch is not None and (first is None or comparison.last_match + 1 <= first):
        first, last = comparison.last_match + 1, comparison.mismatch.size
        findings.append(_rewritten(first, comparison.mismatch))
    if chain.ok and comparison.larger_heads:
        largest = max(comparison.larger_heads, key=lambda head: head.size)
        findings.append(_cut(chain.events, largest))
        first = first if first is not None else chain.events + 1
        last = last if last is not None else chain.events + 1
    if forged:
        findings.append(
            text(
                "Heads in the database that this log's key did not sign: {count}. They were altered or signed with "
                "another key. If another instance or an earlier key signed them, name its public key in "
                "MODELLEDGER_HEAD_KEYS.",
                count=forged,
            )
        )
    signed = None
    if not findings:
        before = heads.last(purpose=VERIFIED)
        is_signed = before is not None and before.head.size == chain.events
        signed = before.head if before and is_signed else heads.keep(frontier, chain.head, VERIFIED)
    return LogVerdict(
        ok=not findings,
        events=chain.events,
        verified_from=begun + 1,
        first_broken=first,
        last_broken=last,
        findings=tuple(findings),
        chain=chain,
        compared=comparison.compared,
        head=signed,
    )


def _rewritten(first: int, head: SignedHead) -> str:
    values = {"events": head.size, "time": _time(head), "first": first}
    if first == head.size:
        return text(
            "The log does not match the head over {events} events that was signed {time}: the log was rewritten, and "
            "the first difference is event {first}.",
            **values,
        )
    return text(
        "The log does not match the head over {events} events that was signed {time}: the log was rewritten, and the "
        "first difference is one of the events {first} to {events}.",
        **values,
    )


def _cut(events: int, head: SignedHead) -> str:
    values = {"last": events, "events": head.size, "time": _time(head), "first": events + 1}
    if head.size == events + 1:
        return text(
            "The log ends at event {last}, but a head over {events} events was signed {time}: event {first} was cut "
            "off.",
            **values,
        )
    return text(
        "The log ends at event {last}, but a head over {events} events was signed {time}: the events {first} to "
        "{events} were cut off.",
        **values,
    )


def _time(head: SignedHead) -> str:
    time = head.checkpoint.time
    return f"at {time:%Y-%m-%d %H:%M:%S} UTC" if time else "at an unknown time"
