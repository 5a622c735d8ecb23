"""Commands about evidence: dossier, bundle, verify-bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.commands.options import As, Json, get_actor, get_stores, parse_model_version, write_answer
from core.errors import BadFile
from core.escaping import line
from core.features.evidence import export_evidence
from core.features.evidence.export_evidence import ExportedFile

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
    kind: export_evidence.Format = "html" if file.suffix.lower() in (".html", ".htm") else "pdf"
    _write(
        export_evidence.export_dossier(get_stores(), get_actor(as_), parse_model_version(model), as_=kind),
        file,
        as_json=as_json,
    )


def bundle(
    model: Model,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written as zip.")],
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Dossier, events with their proofs, signed head and MLflow's metadata: proves itself without ModelLedger."""
    _write(
        export_evidence.export_bundle(get_stores(), get_actor(as_), parse_model_version(model)), file, as_json=as_json
    )


def verify_bundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle, or the folder it was unpacked into.")],
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A public key of another log (`audit key` there) that counts too."),
    ] = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Says what a bundle proves; refuses it where it was altered, or no key that is known here signed it."""
    try:
        known = key.read_text(encoding="utf-8") if key else None
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{key} cannot be read; name a file that holds the public key.") from error
    proof = export_evidence.verify_bundle(get_stores(), get_actor(as_), file, keys=known.split() if known else ())
    if not as_json:
        print("\n- ".join([f"{proof.verdict} Proven:", *map(line, proof.proved)]))
        print("\n- ".join(["Not proven by this:", *map(line, proof.not_proved)]))
        return
    answer = {"ok": True, "key": proof.key, "proved": list(proof.proved), "not_proved": list(proof.not_proved)}
    write_answer(answer, as_json=as_json)


def _write(made: ExportedFile, file: Path, *, as_json: bool) -> None:
    try:
        file.write_bytes(made.data)
    except OSError as error:
        raise BadFile(f"{file} cannot be written ({error.strerror}); name another file.") from error
    write_answer({"file": str(file), "bytes": len(made.data), "sha256": made.sha256}, as_json=as_json)
