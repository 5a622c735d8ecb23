"""Attests: signs heads of the audit log, and verifies the log against heads and exports that were kept elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from core.access.permissions import Action
from core.audit.proofs.checkpoint import VerifierKey
from core.audit.proofs.signed_heads import SignedHead, printable
from core.audit.proofs.verification import LogVerdict, verify_log
from core.entities import Actor
from core.errors import BadHead
from core.features.stores import Stores

_LOOK_EVERY_S = 60.0
# A signed head is some hundred characters, a printed one a page.
_LONGEST_HEAD = 100_000
_MOST_KEPT = 100


def sign_head(stores: Stores, actor: Actor) -> SignedHead:
    """Signs the log as it is and hands the head out; its export is recorded, and the head covers that intent.

    Raises AuditBroken where the log does not go on from its last head, BadSettings where there is no usable key.
    """
    with stores.audit.recording(actor, Action.AUDIT_EXPORT, "signed head") as record:
        head = stores.heads.make("export")
        record.after = {"events": head.size, "root": head.root.hex(), "key": str(head.key)}
    return head


def public_key(stores: Stores, actor: Actor) -> VerifierKey:
    """The key with which anybody can check this log's heads."""
    stores.audit.require(actor, Action.AUDIT_READ)
    return stores.heads.key


def printable_head(head: SignedHead) -> str:
    """Text to print: what the head says in words, and the head itself."""
    return printable(head)


def verify_audit_log(
    stores: Stores,
    actor: Actor,
    kept: Iterable[str] = (),
    *,
    keys: Iterable[str] = (),
    incremental: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> LogVerdict:
    """Recomputes chain and tree and compares them with what was kept elsewhere; where all holds, signs a head.

    *kept*: texts of signed heads, as exported or as printed, or of whole exports (JSON lines); an export locates
    a difference to the event. *keys*: public keys beside the log's own. Requests, approvals and findings are compared
    with what the log holds of them; a head says what the log is, and is signed whatever stands in those tables.
    Raises BadHead.
    """
    stores.audit.require(actor, Action.AUDIT_VERIFY)
    verifiers = tuple(VerifierKey.parse(key) for key in keys)
    texts = list(kept)
    if len(texts) > _MOST_KEPT:
        raise BadHead(f"{len(texts)} files were given; compare with at most {_MOST_KEPT} at once.")
    if any(len(text) > _LONGEST_HEAD and not _is_export(text) for text in texts):
        raise BadHead(
            "One of the files is neither a signed head nor an export of events: name what was taken away here."
        )
    heads = tuple(stores.heads.open(extract_note(text), keys=verifiers) for text in texts if not _is_export(text))
    verdict = verify_log(stores.audit, stores.heads, against=heads, incremental=incremental, on_progress=on_progress)
    for text in filter(_is_export, texts):
        verdict = _compared_with_export(stores, verdict, text)
    return _compared_with_rows(stores, verdict)


def extract_note(text: str) -> str:
    """The signed note in *text*: all of it, or what stands between the rules of a printed head."""
    lines = text.replace("\r\n", "\n").splitlines(keepends=True)
    rules = [place for place, line in enumerate(lines) if line.startswith("-----")]
    if len(rules) >= 2:
        lines = lines[rules[0] + 1 : rules[1]]
    return "".join(lines)


class HeadSchedule:
    """Signs a head every so many hours, while something was appended; asks the database once a minute at most."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._looked: float | None = None

    def sign_if_due(self) -> SignedHead | None:
        """Raises AuditBroken where the log does not go on from its last head."""
        every = timedelta(hours=self._stores.settings.head_every_h)
        now = time.monotonic()
        if not every or (self._looked is not None and now - self._looked < _LOOK_EVERY_S):
            return None
        self._looked = now
        last = self._stores.heads.last()
        signed = last.head.checkpoint.time if last else None
        if signed is not None and datetime.now(UTC) - signed < every:
            return None
        if self._stores.audit.head()[0] == (last.head.size if last else 0):
            return None
        return self._stores.heads.make("schedule")


def _is_export(text: str) -> bool:
    return text.lstrip().startswith("{")


def _compared_with_rows(stores: Stores, verdict: LogVerdict) -> LogVerdict:
    """Names the rows beside the log that are not what it holds of them."""
    rewritten = stores.bound.rewritten()
    sentences = (*verdict.findings, *(row.detail for row in rewritten))
    return replace(verdict, ok=not sentences, findings=sentences, rewritten=rewritten)


def _compared_with_export(stores: Stores, verdict: LogVerdict, text: str) -> LogVerdict:
    """Names the first event of an earlier export that the log does not hold like that."""
    # Not splitlines(): a reason may hold U+2028, which JSON leaves as it is.
    lines = [line for line in text.split("\n") if line.strip()]
    now = iter(stores.audit.hashes(after_sequence=0, until_sequence=len(lines)))
    for number, line in enumerate(lines, start=1):
        try:
            told = json.loads(line)
            sequence, event_hash = told["sequence"], told["hash"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadHead(f"Line {number} of the export is no event; name a file that `audit export` wrote.") from error
        if sequence != number:
            raise BadHead(f"Line {number} of the export is event {sequence}: the export itself is not complete.")
        if next(now, None) != event_hash:
            finding = f"Event {number} is not the one in the export of {len(lines)} events."
            return replace(
                verdict,
                ok=False,
                first_broken=min(number, verdict.first_broken or number),
                last_broken=min(number, verdict.last_broken or number),
                findings=(*verdict.findings, finding),
                head=None,
            )
    return replace(verdict, compared=verdict.compared + 1)
