"""Renders a dossier as a tagged PDF, by typst, and as one HTML file. Both show the same sections."""

from __future__ import annotations

import json
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Literal

import typst

from core.errors import EngineFailed
from core.features.evidence.dossier import Dossier
from core.features.evidence.section import Section
from core.texts import text, translate_sentence

_TEMPLATE = Path(__file__).with_name("dossier.typ")
# PDF/UA-1: the compiler checks tags, title, language and reading order.
_STANDARD: Literal["ua-1"] = "ua-1"

_STYLE = """
:root { color-scheme: light dark; --line: #8888; --accent: #0072B2; }
@media (prefers-color-scheme: dark) { :root { --accent: #56B4E9; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { color: var(--accent); line-height: 1.2; }
h1, h2, h3, p, li { overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.6rem 0.3rem 0; border-bottom: 1px solid var(--line); }
td { overflow-wrap: anywhere; }
.table { overflow-x: auto; }
figure { margin: 1rem 0; max-width: 48rem; overflow-x: auto; }
svg { width: 100%; min-width: 34rem; height: auto; }
svg text { font-family: system-ui, sans-serif; }
h3 { line-height: 1.2; }
"""


def render_pdf(dossier: Dossier) -> bytes:
    """Return a PDF/UA-1 with typst's own fonts, made without network. The same dossier gives the same bytes.

    Raises:
        EngineFailed: typst cannot make the PDF.
    """
    try:
        return _compile(dossier, ascii_only=False)
    except typst.TypstError as error:
        if "could not be displayed" not in error.message:
            raise EngineFailed("The PDF could not be made: {problem}", problem=error.message) from error
    try:
        # The embedded fonts lack a character. Its number is shown instead of an empty box.
        return _compile(dossier, ascii_only=True)
    except typst.TypstError as error:
        raise EngineFailed("The PDF could not be made: {problem}", problem=error.message) from error


def render_html(dossier: Dossier) -> str:
    """Return one HTML file that loads nothing else. Every text is escaped."""
    title = escape(dossier.title)
    return (
        f'<!doctype html>\n<html lang="{dossier.language}">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{title}</h1>\n<p>{escape(_state_line(dossier))}</p>\n"
        + "".join(_html_section(section) for section in dossier.sections if not section.is_annex)
        + f"<h2>{escape(_annexes(dossier))}</h2>\n"
        + "".join(_html_section(section) for section in dossier.sections if section.is_annex)
        + "</main>\n</body>\n</html>\n"
    )


def _html_section(section: Section) -> str:
    heading = "h3" if section.is_annex else "h2"
    parts = [f"<section>\n<{heading}>{escape(section.title)}</{heading}>\n"]
    parts += [f"<p>{escape(paragraph)}</p>\n" for paragraph in section.paragraphs]
    if section.points:
        parts.append(f"<ul>\n{''.join(f'<li>{escape(point)}</li>' for point in section.points)}\n</ul>\n")
    # A drawing escapes its texts itself.
    parts += [f"<figure>\n{picture.svg}\n</figure>\n" for picture in section.pictures]
    if section.header:
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in section.header)
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in section.rows)
        parts.append(
            f'<div class="table"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n'
        )
    return "".join([*parts, "</section>\n"])


def _compile(dossier: Dossier, *, ascii_only: bool) -> bytes:
    moment = dossier.as_of
    document = {
        "title": dossier.title,
        "language": dossier.language,
        "annexes": _annexes(dossier),
        "as_of": [moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second],
        "as_of_text": _as_of_text(dossier),
        "state": _state_line(dossier),
        "sections": [asdict(section) for section in dossier.sections],
    }
    content = json.dumps(document, ensure_ascii=False)
    if ascii_only:
        content = "".join(c if ord(c) < 127 or c in "‹›–…" else f"‹U+{ord(c):04X}›" for c in content)
    pdf = typst.compile(
        _TEMPLATE.read_bytes(),
        format="pdf",
        sys_inputs={"dossier": content},
        pdf_standards=_STANDARD,
        timestamp=int(moment.timestamp()),
        ignore_system_fonts=True,
    )
    assert isinstance(pdf, bytes)
    return pdf


def _state_line(dossier: Dossier) -> str:
    sentence = text(
        "State of {time}. Made by ModelLedger; the same state gives the same file.", time=_as_of_text(dossier)
    )
    return translate_sentence(sentence, dossier.language)


def _annexes(dossier: Dossier) -> str:
    return translate_sentence(text("Annexes"), dossier.language)


def _as_of_text(dossier: Dossier) -> str:
    return f"{dossier.as_of:%Y-%m-%d %H:%M:%S} UTC"
