"""Commands for evidence: dossier, bundle, verify-bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.commands.options import As, Json, get_actor, get_stores, parse_model_version, write_answer
from core.errors import BadFile
from core.escaping import line
from core.features.evidence import export_evidence
from core.features.evidence.export_evidence import ExportedFile
from core.texts import SOURCE_LANGUAGE

Language = Annotated[str, typer.Option("--language", metavar="CODE", help="Language of the dossier: en or es.")]
Model = Annotated[str, typer.Argument(metavar="MODEL/N", help="Model version, or MODEL@ALIAS.")]


def add_to(app: typer.Typer) -> None:
    app.command()(dossier)
    app.command()(bundle)
    app.command("verify-bundle")(verify_bundle)


def dossier(
    model: Model,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Output file: HTML if the name ends in .html, else PDF.")
    ],
    language: Language = SOURCE_LANGUAGE,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Write a report on a model version as PDF or HTML."""
    kind: export_evidence.Format = "html" if file.suffix.lower() in (".html", ".htm") else "pdf"
    stores, actor, key = get_stores(), get_actor(as_), parse_model_version(model)
    _write(export_evidence.export_dossier(stores, actor, key, as_=kind, language=language), file, as_json=as_json)


def bundle(
    model: Model,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Output file (ZIP).")],
    language: Language = SOURCE_LANGUAGE,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Write an evidence bundle that can be verified without ModelLedger."""
    stores, actor, key = get_stores(), get_actor(as_), parse_model_version(model)
    _write(export_evidence.export_bundle(stores, actor, key, language=language), file, as_json=as_json)


def verify_bundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Bundle, or its unpacked folder.")],
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Accept this public key of another log too."),
    ] = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Verify a bundle and show what it proves."""
    try:
        keys = key.read_text(encoding="utf-8").split() if key else []
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile("{file} cannot be read. Choose a file that holds the public key.", file=str(key)) from error
    proof = export_evidence.verify_bundle(get_stores(), get_actor(as_), file, keys=keys)
    if not as_json:
        print("\n- ".join([f"{proof.verdict} Proven:", *map(line, proof.proved)]))
        print("\n- ".join(["Not proven:", *map(line, proof.not_proved)]))
        return
    answer = {"ok": True, "key": proof.key, "proved": list(proof.proved), "not_proved": list(proof.not_proved)}
    write_answer(answer, as_json=as_json)


def _write(exported: ExportedFile, file: Path, *, as_json: bool) -> None:
    try:
        file.write_bytes(exported.data)
    except OSError as error:
        raise BadFile(
            "{file} cannot be written ({reason}). Choose another file.", file=str(file), reason=error.strerror
        ) from error
    write_answer({"file": str(file), "bytes": len(exported.data), "sha256": exported.sha256}, as_json=as_json)
