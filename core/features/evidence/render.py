"""Typesets a dossier: as a tagged PDF by typst, and as one HTML file. Both show the same sections."""

from __future__ import annotations

import json
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Literal

import typst

from core.errors import EngineFailed
from core.features.evidence.dossier import Dossier
from core.features.evidence.dossier_sections import Section

_TEMPLATE = Path(__file__).with_name("dossier.typ")
# PDF/UA-1: tags, title, language and reading order are checked by the compiler itself.
_STANDARD: Literal["ua-1"] = "ua-1"

_STYLE = """
:root { color-scheme: light dark; --line: #8888; --accent: #0072B2; }
@media (prefers-color-scheme: dark) { :root { --accent: #56B4E9; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { color: var(--accent); line-height: 1.2; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.6rem 0.3rem 0; border-bottom: 1px solid var(--line); }
td { overflow-wrap: anywhere; }
.table { overflow-x: auto; }
"""


def render_pdf(dossier: Dossier) -> bytes:
    """PDF/UA-1 in typst's own fonts, without network: the same dossier gives the same bytes. Raises EngineFailed."""
    try:
        return _compiled(dossier, ascii_only=False)
    except typst.TypstError as error:
        if "could not be displayed" not in error.message:
            raise EngineFailed(f"The PDF could not be made: {error.message}") from error
    try:
        # A letter that the embedded fonts lack is shown by its number rather than as an empty box.
        return _compiled(dossier, ascii_only=True)
    except typst.TypstError as error:
        raise EngineFailed(f"The PDF could not be made: {error.message}") from error


def render_html(dossier: Dossier) -> str:
    """One file, nothing loaded from elsewhere; every text is escaped."""
    title = escape(dossier.title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{title}</h1>\n<p>State of {escape(_when(dossier))}.</p>\n"
        + "".join(map(_html_section, dossier.sections))
        + "</main>\n</body>\n</html>\n"
    )


def _html_section(section: Section) -> str:
    parts = [f"<section>\n<h2>{escape(section.title)}</h2>\n"]
    parts += [f"<p>{escape(text)}</p>\n" for text in section.paragraphs]
    if section.header:
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in section.header)
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in section.rows)
        parts.append(
            f'<div class="table"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n'
        )
    return "".join([*parts, "</section>\n"])


def _compiled(dossier: Dossier, *, ascii_only: bool) -> bytes:
    moment = dossier.as_of
    document = {
        "title": dossier.title,
        "as_of": [moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second],
        "as_of_text": _when(dossier),
        "sections": [asdict(section) for section in dossier.sections],
    }
    text = json.dumps(document, ensure_ascii=False)
    if ascii_only:
        text = "".join(c if ord(c) < 127 or c in "‹›–…" else f"‹U+{ord(c):04X}›" for c in text)
    made = typst.compile(
        _TEMPLATE.read_bytes(),
        format="pdf",
        sys_inputs={"dossier": text},
        pdf_standards=_STANDARD,
        timestamp=int(moment.timestamp()),
        ignore_system_fonts=True,
    )
    assert isinstance(made, bytes)
    return made


def _when(dossier: Dossier) -> str:
    return f"{dossier.as_of:%Y-%m-%d %H:%M:%S} UTC"
