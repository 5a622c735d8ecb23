"""Signs heads of the audit log, and verifies the log against heads and exports kept elsewhere."""

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
from core.texts import text

_CHECK_EVERY_S = 60.0
# A signed head has some hundred characters, a printed one a page.
_MAX_HEAD_LENGTH = 100_000
_MAX_FILES = 100


def sign_head(stores: Stores, actor: Actor) -> SignedHead:
    """Sign the present log and export the head. The export is recorded, and the head covers the intent of the export.

    Raises:
        AuditBroken: the log does not continue its last head.
        BadSettings: there is no usable key.
    """
    with stores.audit.recording(actor, Action.AUDIT_EXPORT, "signed head") as record:
        head = stores.heads.make("export")
        record.after = {"events": head.size, "root": head.root.hex(), "key": str(head.key)}
    return head


def public_key(stores: Stores, actor: Actor) -> VerifierKey:
    """Return the public key that verifies this log's heads."""
    stores.audit.require(actor, Action.AUDIT_READ)
    return stores.heads.key


def printable_head(head: SignedHead) -> str:
    """Return a text to print: an explanation of the head, and the head itself."""
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
    """Recompute the chain and the tree, and compare them with files kept elsewhere. A valid log is signed.

    *kept* are the texts of signed heads, as exported or printed, or of whole exports (JSON lines). An export locates
    the first event that differs. *keys* are public keys beside the log's own. Requests, approvals and findings are
    compared with their snapshots in the log; a head covers the log alone and is signed whatever these tables hold.

    Raises:
        BadHead: a file is neither a signed head nor an export, or there are too many files.
    """
    stores.audit.require(actor, Action.AUDIT_VERIFY)
    verifiers = tuple(VerifierKey.parse(key) for key in keys)
    files = list(kept)
    if len(files) > _MAX_FILES:
        raise BadHead(
            "{count} files were given. Compare with at most {max_files} at once.",
            count=len(files),
            max_files=_MAX_FILES,
        )
    if any(len(file) > _MAX_HEAD_LENGTH and not _is_export(file) for file in files):
        raise BadHead(
            "One of the files is neither a signed head nor an export of events. Choose a file that was exported here."
        )
    heads = tuple(stores.heads.open(extract_note(file), keys=verifiers) for file in files if not _is_export(file))
    verdict = verify_log(stores.audit, stores.heads, against=heads, incremental=incremental, on_progress=on_progress)
    for file in filter(_is_export, files):
        verdict = _compare_with_export(stores, verdict, file)
    return _compare_with_rows(stores, verdict)


def extract_note(content: str) -> str:
    """Return the signed note in *content*: all of it, or the part between the lines of dashes of a printed head."""
    lines = content.replace("\r\n", "\n").splitlines(keepends=True)
    dashes = [index for index, line in enumerate(lines) if line.startswith("-----")]
    if len(dashes) >= 2:
        lines = lines[dashes[0] + 1 : dashes[1]]
    return "".join(lines)


class HeadSchedule:
    """Signs a head every `head_every_h` hours if the log grew. Reads the database at most once a minute."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._checked_at: float | None = None

    def sign_if_due(self) -> SignedHead | None:
        """Sign a head and return it, or return None where none is due.

        Raises:
            AuditBroken: the log does not continue its last head.
        """
        every = timedelta(hours=self._stores.settings.head_every_h)
        now = time.monotonic()
        if not every or (self._checked_at is not None and now - self._checked_at < _CHECK_EVERY_S):
            return None
        self._checked_at = now
        last = self._stores.heads.last()
        signed = last.head.checkpoint.time if last else None
        if signed is not None and datetime.now(UTC) - signed < every:
            return None
        if self._stores.audit.head()[0] == (last.head.size if last else 0):
            return None
        return self._stores.heads.make("schedule")


def _is_export(content: str) -> bool:
    return content.lstrip().startswith("{")


def _compare_with_rows(stores: Stores, verdict: LogVerdict) -> LogVerdict:
    """Add the rows that differ from their snapshots in the log to the verdict."""
    tampered_rows = stores.row_integrity.tampered_rows()
    sentences = (*verdict.findings, *(row.detail for row in tampered_rows))
    return replace(verdict, ok=not sentences, findings=sentences, tampered_rows=tampered_rows)


def _compare_with_export(stores: Stores, verdict: LogVerdict, export: str) -> LogVerdict:
    """Add the first event of an earlier export that differs from the log to the verdict."""
    # Not splitlines(): a reason may hold U+2028, which JSON leaves as it is.
    lines = [line for line in export.split("\n") if line.strip()]
    now = iter(stores.audit.hashes(after_sequence=0, until_sequence=len(lines)))
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line)
            sequence, event_hash = event["sequence"], event["hash"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadHead(
                "Line {line} of the export is not an event. Choose a file that `audit export` wrote.", line=number
            ) from error
        if sequence != number:
            raise BadHead(
                "Line {line} of the export is event {sequence}: the export is not complete.",
                line=number,
                sequence=sequence,
            )
        if next(now, None) != event_hash:
            finding = text("Event {number} differs from the export of {count} events.", number=number, count=len(lines))
            return replace(
                verdict,
                ok=False,
                first_broken=min(number, verdict.first_broken or number),
                last_broken=min(number, verdict.last_broken or number),
                findings=(*verdict.findings, finding),
                head=None,
            )
    return replace(verdict, compared=verdict.compared + 1)
