"""Names and reasons that would act come out inert in every file to take away and on the command line."""

from __future__ import annotations

import contextlib
import io
import json
import re
import zipfile
import zlib
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from core.entities import Actor, ModelVersionKey
from core.features.evidence.export_evidence import export_bundle, export_dossier
from core.features.evidence.search_events import export_audit
from core.features.stores import Stores
from tests.cli.conftest import Command, command  # noqa: F401 — a fixture, under its own name
from tests.security.acting import as_visible, cells_of, hidden, starts_a_formula
from tests.security.nasty import FOLDERS, KEY, NAMED, TEXTS, home  # noqa: F401 — a fixture, under its own name

LEARNED = ModelVersionKey(model="learned", version=1)
FOREIGN = ModelVersionKey(model=NAMED, version=1)


def test_the_audit_log_as_csv_computes_nothing(stores: Stores, auditor: Actor, tmp_path: Path) -> None:
    export_audit(stores, auditor, tmp_path / "log.csv")
    cells = cells_of((tmp_path / "log.csv").read_text(encoding="utf-8"))
    assert [cell for cell in cells if starts_a_formula(cell) or hidden(cell, keep="\n\t")] == []
    assert f"'{TEXTS['formula']}" in cells
    assert TEXTS["html"] in cells


def test_the_audit_log_as_json_lines_means_the_same_and_steers_nothing(
    stores: Stores, auditor: Actor, tmp_path: Path
) -> None:
    export_audit(stores, auditor, tmp_path / "log.jsonl")
    text = (tmp_path / "log.jsonl").read_text(encoding="utf-8")
    assert hidden(text, keep="\n") == []
    reasons = {json.loads(line)["reason"] for line in text.splitlines()}
    assert set(TEXTS.values()) <= reasons


class Read(HTMLParser):
    """The elements of a page with their attributes, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("key", [KEY, LEARNED, FOREIGN], ids=["iris", "learned", "foreign"])
def test_the_dossier_in_html_has_no_element_but_its_own(stores: Stores, auditor: Actor, key: ModelVersionKey) -> None:
    made = export_dossier(stores, auditor, key, as_="html").data.decode()
    read = Read(made)
    own = {"html", "head", "meta", "title", "style", "body", "main", "section", "div"}
    own |= {"h1", "h2", "h3", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}
    drawn = {"figure", "svg", "text", "rect", "line", "polyline", "circle"}
    assert own <= {tag for tag, _ in read.elements} <= own | drawn
    shapes = {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "points"}
    shapes |= {"fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray"}
    shapes |= {"font-size", "font-family", "font-weight", "text-anchor", "xmlns", "viewbox", "role", "aria-label"}
    for tag, attributes in read.elements:
        allowed = shapes if tag in drawn else {"lang", "charset", "http-equiv", "content", "name", "scope", "class"}
        assert {name for name, _ in attributes} <= allowed, tag
    assert hidden(made, keep="\n") == []
    words = "\n".join(read.words)
    assert [kind for kind in ("html", "link") if key == KEY and as_visible(TEXTS[kind]) not in words] == []


def unpacked(pdf: bytes) -> bytes:
    """Everything that a PDF holds, its compressed streams and the objects in them too."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    parts = [pdf]
    for stream in streams:
        with contextlib.suppress(zlib.error):  # a stream that is not deflated is in the file as it is
            parts.append(zlib.decompress(stream))
    return b"\n".join(parts)


@pytest.mark.parametrize("key", [KEY, LEARNED], ids=str)
def test_the_dossier_in_pdf_has_neither_links_nor_actions(stores: Stores, auditor: Actor, key: ModelVersionKey) -> None:
    found = unpacked(export_dossier(stores, auditor, key, as_="pdf").data)
    assert b"/StructTreeRoot" in found, "its objects are read"
    for action in (b"/URI", b"/JavaScript", b"/JS", b"/Launch", b"/Annots", b"/EmbeddedFile", b"/OpenAction"):
        assert not re.search(re.escape(action) + rb"[\s/(<\[]", found), action


@pytest.mark.parametrize("key", [KEY, LEARNED, FOREIGN], ids=["iris", "learned", "foreign"])
def test_the_bundle_hides_nothing_but_in_copies(stores: Stores, auditor: Actor, key: ModelVersionKey) -> None:
    made = export_bundle(stores, auditor, key)
    assert re.fullmatch(r"[A-Za-z0-9_-]+-bundle\.zip", made.name)
    with zipfile.ZipFile(io.BytesIO(made.data)) as archive:
        names = archive.namelist()
        assert [name for name in names if not re.fullmatch(r"[A-Za-z0-9_./-]+", name) or ".." in name] == []
        for name in names:
            if not name.startswith("mlflow/artifact/") and not name.endswith(".pdf"):
                assert hidden(archive.read(name).decode(), keep="\n") == [], name


# ---- the command line -------------------------------------------------------------------------------------------

COMMANDS = [
    ("tables",),
    *(("history", name) for name in ("iris_training_data", *FOLDERS)),
    *(("show", name, "--rows", "20") for name in ("texts", "columns", *FOLDERS)),
    ("diff", FOLDERS[1], "0", "1"),
    ("sql", "SELECT * FROM texts"),
    ("sql", "SELECT * FROM columns"),
    ("models",),
    ("models", "--as-of", f"{datetime.now(UTC):%Y-%m-%d}"),
    ("runs",),
    ("lineage", f"{NAMED}/1"),
    ("lineage", "learned/1"),
    ("impact", f"{FOLDERS[1]}@0"),
    ("requests",),
    ("findings", "--all"),
    ("reconcile",),
    ("audit", "log"),
    ("token", "list", "--as", "admin"),
    ("doctor",),
    # Refused, with what was typed in the sentence.
    *(("show", f"no {text}") for text in TEXTS.values()),
    ("lineage", f"{TEXTS['control']}/1"),
    ("approve", TEXTS["bidi"], "--as", "manager", "--reason", "r"),
    ("findings", "--close", TEXTS["control"], "--as", "manager", "--reason", "r"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words)[:20].encode("ascii", "replace").decode())
def test_a_command_prints_nothing_that_steers_a_terminal(command: Command, words: tuple[str, ...]) -> None:  # noqa: F811
    plain, as_json = command(*words), command(*words, "--json")
    for answer in (plain, as_json):
        assert answer.code in (0, 1), answer.err
        assert hidden(answer.out + answer.err, keep="\n") == []
        assert "Traceback" not in answer.err
    if as_json.out:
        assert as_json.json is not None
