"""Verifies the audit log: the chain, the signed heads kept here, and heads that were kept elsewhere, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core.audit.log import GENESIS, AuditLog
from core.audit.proofs.merkle import Frontier
from core.audit.proofs.signed_heads import Heads, SignedHead, leaf
from core.entities import ChainVerdict, Rewritten

# Heads of this purpose were signed after every event up to them was recomputed.
VERIFIED = "verify"


@dataclass(frozen=True, kw_only=True)
class LogVerdict:
    """What a verification found.

    *first_broken* is the first event that can differ, *last_broken* the last one that may be the first difference:
    the same number where it is located exactly. *verified_from*: events before it were not read again.
    *findings* are sentences; an *ok* verdict has none. *head* is the head signed over what was verified. *rewritten*:
    rows of decisions and findings that are not what the log holds of them; the sentence of each is among the findings.
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
    rewritten: tuple[Rewritten, ...] = ()

    @property
    def detail(self) -> str:
        if self.findings:
            return " ".join(self.findings)
        since = f" Events before {self.verified_from} were verified earlier and not read again." * (
            self.verified_from > 1
        )
        heads = "1 signed head agrees" if self.compared == 1 else f"{self.compared} signed heads agree"
        return f"All {self.events} events hold; {heads}.{since}"


class _Marks:
    """Compares the growing tree with every head, at the head's size."""

    def __init__(self, heads: Iterable[SignedHead], frontier: Frontier) -> None:
        self._frontier = frontier
        self._waiting = sorted((h for h in heads if h.size >= frontier.size), key=lambda h: h.size)
        self._at = 0
        self.agreed = frontier.size
        self.compared = 0
        self.differs: SignedHead | None = None
        self._compare()

    @property
    def left(self) -> list[SignedHead]:
        """Heads over more events than were seen."""
        return self._waiting[self._at :]

    def see(self, sequence: int, event_hash: str) -> None:
        self._frontier.add(leaf(event_hash))
        if self._at < len(self._waiting) and self._waiting[self._at].size == sequence:
            self._compare()

    def _compare(self) -> None:
        while self._at < len(self._waiting) and self._waiting[self._at].size == self._frontier.size:
            head = self._waiting[self._at]
            self._at += 1
            self.compared += 1
            if head.root != self._frontier.root():
                self.differs = self.differs or head
            elif self.differs is None:
                self.agreed = head.size


def verify_log(
    log: AuditLog,
    heads: Heads,
    *,
    against: tuple[SignedHead, ...] = (),
    incremental: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> LogVerdict:
    """Recomputes chain and tree, and compares the tree with every head. Where all holds, a new head is signed.

    *incremental* goes on from the last head that a verification signed; a head of *against* that covers fewer events
    makes it start from the first event all the same, because only that can prove it. So does a fault, to locate it.
    """
    if incremental:
        found = _verify(log, heads, against, incremental=True, on_progress=on_progress)
        if found.ok or found.verified_from == 1:
            return found
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
    if start is not None and (start.head.size > log.head()[0] or any(h.size < start.head.size for h in against)):
        start = None
    frontier = start.frontier() if start else Frontier()
    begun = frontier.size
    marks = _Marks((*kept, *against), frontier)
    chain = log.verify(
        start=(begun, start.last_hash) if start else (0, GENESIS), on_event=marks.see, on_progress=on_progress
    )
    findings: list[str] = []
    first = last = None
    if not chain.ok:
        first = last = chain.first_broken
        findings.append(f"{chain.detail[:1].upper()}{chain.detail[1:]}.")
    if marks.differs is not None and (first is None or marks.agreed + 1 <= first):
        first, last = marks.agreed + 1, marks.differs.size
        findings.append(_rewritten(first, marks.differs))
    if chain.ok and marks.left:
        gone = max(marks.left, key=lambda head: head.size)
        findings.append(_cut(chain.events, gone))
        first = first if first is not None else chain.events + 1
        last = last if last is not None else chain.events + 1
    if forged:
        findings.append(
            f"{forged} of the heads kept in the database {'is' if forged == 1 else 'are'} not signed by this log's key:"
            " altered, or made with another key. Where another instance or an earlier key made them, name its public "
            "key in MODELLEDGER_HEAD_KEYS."
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
        compared=marks.compared,
        head=signed,
    )


def _rewritten(first: int, head: SignedHead) -> str:
    where = f"event {first}" if first == head.size else f"one of the events {first} to {head.size}"
    return (
        f"The log is not the one whose head over {head.size} events was signed{_at(head)}: it was rewritten, and the "
        f"first difference is {where}."
    )


def _cut(events: int, head: SignedHead) -> str:
    gone = f"event {head.size}" if head.size == events + 1 else f"events {events + 1} to {head.size}"
    return f"The log ends at event {events}, but a head over {head.size} events was signed{_at(head)}: {gone} cut off."


def _at(head: SignedHead) -> str:
    return f" at {head.checkpoint.time:%Y-%m-%d %H:%M:%S} UTC" if head.checkpoint.time else ""
