"""Exports evidence: the dossier of a model version, and a bundle that can be verified without ModelLedger."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from core.access.permissions import Action
from core.audit.canonical_json import canonical, settled
from core.audit.hash_chain import event_text
from core.audit.proofs.checkpoint import VerifierKey
from core.audit.proofs.signed_heads import SignedHead, printable
from core.entities import Actor, Event, ModelVersionKey
from core.errors import AuditBroken, BadBundle, BadParameter, CoreError
from core.escaping import in_json, visible
from core.features.evidence import bundle_check
from core.features.evidence.collect import ModelEvidence, collect_evidence
from core.features.evidence.dossier import Dossier, build_dossier
from core.features.evidence.render import render_html, render_pdf
from core.features.evidence.section import Picture
from core.features.stores import Stores
from core.learning.artifact_files import file_sha256, files_below
from core.texts import SOURCE_LANGUAGE, languages

Format = Literal["pdf", "html"]

# Copied into the bundle as they are. Larger files and the model itself are listed with their SHA-256 only.
_COPIED = ("MLmodel", "requirements.txt", "conda.yaml", "python_env.yaml")
_MAX_COPY_BYTES = 1_000_000
_README = """Evidence bundle about {subject}

dossier.pdf, dossier.html   report on the model version
decisions.json              requests and decisions, with the evidence that the gates saw
acceptance.json             state as found that was accepted when the model was taken over, if it was
data.json                   data versions used for training: commit, schema, rows, hashes
mlflow/                     metadata from MLflow: model version, run, metric history, files of the artifact
events.jsonl                events of the audit log about the model version, each with its proof of inclusion
head.txt, head-in-words.txt signed head of the log, to which the proofs lead
key.txt                     public key of the log
manifest.json, .note        SHA-256 of every file, signed
verify.py                   verifies the bundle (needs Python 3.11 and the package cryptography):
                            python -I verify.py --key NAME+ID+KEY

NAME+ID+KEY is the public key of the log. Get it from another source than this bundle: from the installation (`audit
key`, or the page Audit) or from the person who keeps its signed heads. Without the key, verify.py reports SIGNER
UNKNOWN and ends with exit code 3, because anybody who changes files can sign them again with another key.

An altered verify.py proves nothing. If in doubt, use the verify.py of an installation that you trust.
"""


@dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """An exported file. The audit log holds its *sha256* too."""

    name: str
    data: bytes
    sha256: str


def export_dossier(
    stores: Stores, actor: Actor, key: ModelVersionKey, *, as_: Format, language: str = SOURCE_LANGUAGE
) -> ExportedFile:
    """Return the dossier as PDF or HTML in *language*. The export is recorded.

    Raises:
        BadParameter: the language has no catalogue.
        ModelVersionNotFound, RegistryUnavailable.
    """
    what = {"what": f"dossier {as_}", "language": language}
    with stores.audit.recording(actor, Action.AUDIT_EXPORT, str(key), before=what) as record:
        _check_language(language)
        dossier = _dossier(stores, collect_evidence(stores, actor, key), language)
        exported = _exported_file(
            f"{file_name(key)}.{as_}", render_pdf(dossier) if as_ == "pdf" else render_html(dossier).encode()
        )
        record.after = {"file": exported.name, "sha256": exported.sha256, "bytes": len(exported.data)}
    return exported


def export_bundle(
    stores: Stores, actor: Actor, key: ModelVersionKey, *, language: str = SOURCE_LANGUAGE
) -> ExportedFile:
    """Return dossier in *language*, events with proofs, signed head, MLflow metadata and verify.py as one ZIP file.

    The export is recorded. The same state gives the same bytes.

    Raises:
        BadParameter: the language has no catalogue.
        AuditBroken, ModelVersionNotFound, RegistryUnavailable.
    """
    with stores.audit.recording(
        actor, Action.AUDIT_EXPORT, str(key), before={"what": "bundle", "language": language}
    ) as record:
        _check_language(language)
        evidence = collect_evidence(stores, actor, key)
        dossier, head = _dossier(stores, evidence, language), _head(stores)
        files = {
            "README.txt": _README.format(subject=visible(key)).encode(),
            "dossier.pdf": render_pdf(dossier),
            "dossier.html": render_html(dossier).encode(),
            "decisions.json": _json(stores, [asdict(request) for request in evidence.requests]),
            **({"acceptance.json": _json(stores, asdict(evidence.acceptance))} if evidence.acceptance else {}),
            "data.json": _json(stores, [asdict(data) for data in evidence.data]),
            bundle_check.EVENTS: _events(stores, evidence.events, head),
            bundle_check.HEAD: head.note.encode(),
            "head-in-words.txt": printable(head).encode(),
            bundle_check.KEY: f"{head.key}\n".encode(),
            "verify.py": Path(bundle_check.__file__).read_bytes(),
            **_mlflow(stores, evidence),
        }
        exported = _exported_file(
            f"{file_name(key)}-bundle.zip", _zipped(_signed(stores, str(key), files, language), dossier.as_of)
        )
        record.after = {
            "file": exported.name,
            "sha256": exported.sha256,
            "bytes": len(exported.data),
            "head": head.size,
        }
    return exported


def verify_bundle(stores: Stores, actor: Actor, path: Path, *, keys: Iterable[str] = ()) -> bundle_check.Proof:
    """Return the proof of a bundle that is signed with this log's own key, a trusted key or one of *keys*.

    Raises:
        BadBundle: a file was altered, or the signer is unknown. *file* is the name of the file.
    """
    stores.audit.require(actor, Action.AUDIT_VERIFY)
    trusted = tuple(str(key) for key in (*map(VerifierKey.parse, keys), *stores.heads.keys))
    try:
        return bundle_check.check_folder(path, trusted) if path.is_dir() else bundle_check.check_zip(path, trusted)
    except bundle_check.Refused as error:
        raise BadBundle("The bundle is refused. {problem}.", problem=str(error), file=error.file) from error


def _check_language(language: str) -> None:
    if language not in languages():
        raise BadParameter(
            "There is no dossier in the language {language!r}; choose one of {languages}.",
            language=language,
            languages=", ".join(languages()),
        )


def _head(stores: Stores) -> SignedHead:
    """The last head if only exports followed it, so that the same state gives the same bundle; else a new head."""
    last = stores.heads.last()
    if last is not None:
        stores.heads.confirm(last)
        since = stores.audit.events(after_sequence=last.head.size)
        if all(event.action == Action.AUDIT_EXPORT.value for event in since):
            return last.head
    return stores.heads.make("bundle")


def _events(stores: Stores, events: tuple[Event, ...], head: SignedHead) -> bytes:
    tree = stores.heads.tree(head.size)
    if tree.root() != head.root:
        raise AuditBroken(
            "The audit log differs from its signed head. Verify the audit log before you export evidence."
        )
    lines = []
    for event in events:
        if event.sequence > head.size:
            continue
        text = event_text({**asdict(event), "before": canonical(event.before), "after": canonical(event.after)})
        if hashlib.sha256(text.encode()).hexdigest() != event.hash:
            raise AuditBroken(
                "Event {sequence} of the audit log was altered: its content does not give its hash.",
                sequence=event.sequence,
            )
        proof = [node.hex() for node in tree.inclusion(event.sequence - 1)]
        lines.append(in_json(json.dumps({"text": text, "hash": event.hash, "proof": proof}, ensure_ascii=False)))
    return "".join(f"{line}\n" for line in lines).encode()


def _mlflow(stores: Stores, evidence: ModelEvidence) -> dict[str, bytes]:
    run = evidence.view.run
    files = {
        "mlflow/model_version.json": _json(stores, asdict(evidence.view.version)),
        "mlflow/registered_model.json": _json(stores, asdict(evidence.registered) if evidence.registered else None),
    }
    if run is not None:
        history = {name: [asdict(p) for p in stores.runs.metric_history(run.run_id, name)] for name in run.metrics}
        files["mlflow/run.json"] = _json(stores, asdict(run))
        files["mlflow/metric_history.json"] = _json(stores, history)
    if evidence.view.measured.logged_model is not None:
        files["mlflow/logged_model.json"] = _json(stores, asdict(evidence.view.measured.logged_model))
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        try:
            model = stores.models.download(evidence.key, Path(folder))
        except CoreError as error:
            # A lost artifact is evidence too: the bundle names the problem in its place.
            return {**files, "mlflow/artifact_problem.txt": f"{visible(error)}\n".encode()}
        listed = []
        for file in files_below(model):
            name = file.relative_to(model).as_posix()
            size = file.stat().st_size
            listed.append({"path": name, "bytes": size, "sha256": file_sha256(file)})
            if name in _COPIED and size <= _MAX_COPY_BYTES and _holds_no_secret(stores, file):
                files[f"mlflow/artifact/{name}"] = file.read_bytes()
    return {**files, "mlflow/artifact_files.json": _json(stores, listed)}


def _holds_no_secret(stores: Stores, file: Path) -> bool:
    """Whether the file can be copied unchanged. A file with a secret is not copied; its hash is listed all the same."""
    text = file.read_text(encoding="utf-8", errors="replace")
    return bool(stores.audit.redacted(text) == text)


def _signed(stores: Stores, subject: str, files: Mapping[str, bytes], language: str) -> dict[str, bytes]:
    """The files with their manifest and its signature."""
    listed = {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()}
    facts = {"format": bundle_check.FORMAT, "subject": subject, "language": language, "files": listed}
    manifest = _json(stores, facts)
    digest = base64.b64encode(hashlib.sha256(manifest).digest()).decode()
    note = stores.heads.sign(f"{stores.heads.key.name}\n{bundle_check.MANIFEST_LINE}\n{digest}\n")
    return {**files, bundle_check.MANIFEST: manifest, bundle_check.SIGNED_MANIFEST: note.encode()}


def _zipped(files: Mapping[str, bytes], as_of: datetime) -> bytes:
    out = io.BytesIO()
    moment = (as_of.year, as_of.month, as_of.day, as_of.hour, as_of.minute, as_of.second)
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, moment)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(entry, files[name])
    return out.getvalue()


def _exported_file(name: str, data: bytes) -> ExportedFile:
    return ExportedFile(name=name, data=data, sha256=hashlib.sha256(data).hexdigest())


def _json(stores: Stores, value: Any) -> bytes:
    document = stores.audit.redacted(settled(value))
    return in_json(json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def _dossier(stores: Stores, evidence: ModelEvidence, language: str) -> Dossier:
    """The dossier, without secrets from tags and addresses."""
    dossier, redacted = build_dossier(evidence, language), stores.audit.redacted
    sections = tuple(
        replace(
            section,
            title=redacted(section.title),
            paragraphs=tuple(redacted(section.paragraphs)),
            points=tuple(redacted(section.points)),
            pictures=tuple(Picture(svg=redacted(p.svg), alt=redacted(p.alt)) for p in section.pictures),
            rows=tuple(tuple(redacted(row)) for row in section.rows),
        )
        for section in dossier.sections
    )
    return replace(dossier, title=redacted(dossier.title), sections=sections)


def file_name(key: ModelVersionKey) -> str:
    """Return a file name that is safe on every file system, whatever the name of the model."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in key.model)
    return f"{safe.strip('-') or 'model'}-{key.version}"
