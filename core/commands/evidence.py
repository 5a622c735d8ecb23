"""Commands about evidence: dossier, bundle, verify-bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.commands.options import As, Json, acting, model_version, opened, write_answer
from core.errors import BadFile
from core.inert import line
from core.services import evidence
from core.services.evidence import Exported

Model = Annotated[str, typer.Argument(metavar="MODEL/N")]


def add_to(app: typer.Typer) -> None:
    app.command()(dossier)
    app.command()(bundle)
    app.command("verify-bundle")(verify_bundle)


def dossier(
    model: Model,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written as PDF, or as HTML by its ending.")],
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Everything that is known about a model version, for people; the same state gives the same file."""
    kind: evidence.Format = "html" if file.suffix.lower() in (".html", ".htm") else "pdf"
    _write(evidence.export_dossier(opened(), acting(as_), model_version(model), as_=kind), file, as_json=as_json)


def bundle(
    model: Model,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written as zip.")],
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Dossier, events with their proofs, signed head and MLflow's metadata: proves itself without ModelLedger."""
    _write(evidence.export_bundle(opened(), acting(as_), model_version(model)), file, as_json=as_json)


def verify_bundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle, or the folder it was unpacked into.")],
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The log's public key, got from elsewhere (`audit key`).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Says what a bundle proves; refuses it with the file's name where anything in it was altered."""
    try:
        known = key.read_text(encoding="utf-8") if key else None
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{key} cannot be read; name a file that holds the public key.") from error
    proof = evidence.verify_bundle(file, key=known)
    if not as_json:
        print("\n- ".join(["The bundle holds. Proven:", *map(line, proof.proved)]))
        print("\n- ".join(["Not proven by this:", *map(line, proof.not_proved)]))
        return
    write_answer({"ok": True, "proved": list(proof.proved), "not_proved": list(proof.not_proved)}, as_json=as_json)


def _write(made: Exported, file: Path, *, as_json: bool) -> None:
    try:
        file.write_bytes(made.data)
    except OSError as error:
        raise BadFile(f"{file} cannot be written ({error.strerror}); name another file.") from error
    write_answer({"file": str(file), "bytes": len(made.data), "sha256": made.sha256}, as_json=as_json)
