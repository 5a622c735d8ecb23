"""What is looked for in whatever leaves ModelLedger: characters that hide, cells that compute, Markdown that acts."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message
from markdown_it import MarkdownIt
from streamlit.testing.v1 import AppTest

from tests.security.nasty import FOLDERS, METRIC, NAMED, TEXTS

NAMES = (*TEXTS.values(), *FOLDERS, NAMED, METRIC)


def hidden(text: str, *, keep: str = "") -> list[str]:
    """Characters that hide or steer, by their Unicode category: control, format, surrogate, private, separators."""
    unseen = [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") and c not in keep]
    # Joins the parts of one emoji, and is what breaks an address or a shortcode without being seen.
    return [f"U+{ord(c):04X}" for c in unseen if c not in "\u200d\u2060"]


def starts_a_formula(text: str) -> bool:
    """What a spreadsheet would compute, by OWASP's list (CSV Injection)."""
    return text.lstrip(" \n").startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))


READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# What Streamlit's own Markdown makes beside CommonMark (read in its component StreamlitMarkdown of 1.67): from the
# source, where an escape keeps it from it …
IN_SOURCE = {
    "directive": re.compile(r"(?<!\\):[a-zA-Z][\w-]*[\[{]"),
    "formula": re.compile(r"(?<!\\)\$(?!\s)[^$\n]+(?<![\s\\])\$"),
    "footnote": re.compile(r"(?<!\\)\[\^"),
}
# … and from what is left when the escapes are gone.
IN_TEXT = {
    "address": re.compile(r"https?://\w|www\.\w|\w@[\w-]+\.\w", re.IGNORECASE),
    "picture": re.compile(r":material/rocket_launch:|:streamlit:|:skull:|:100:"),
    "arrow": re.compile(r"(^|\s)(<->|->|<-|--|>=|<=|~=)(\s|$)"),
}
MADE = ("link_open", "image", "html_inline", "html_block", "heading_open", "s_open", "em_open", "table_open", "hr")


def acting(markdown: str) -> list[str]:
    """What a reader of *markdown* would make beside words: bold and `code` are the pages' own."""
    tokens = READER.parse(markdown)
    inline = [one for token in tokens for one in token.children or []]
    text = "".join(one.content for one in inline if one.type != "code_inline")
    found = [one.type for one in (*tokens, *inline) if one.type in MADE]
    found += [kind for kind, pattern in IN_SOURCE.items() if pattern.search(_without_code(markdown))]
    return found + [kind for kind, pattern in IN_TEXT.items() if pattern.search(text)]


def _without_code(markdown: str) -> str:
    """Without `code` and without the badge that a page may make of all of it."""
    words = re.sub(r"(?<![`\\])`[^`]+`", "", markdown)
    return re.sub(r"^:[a-z]+-badge\[:material/[a-z_]+: (.*)\]$", r"\1", words)


def as_read(markdown: str) -> str:
    """The words that are left for a reader, without what is there to be seen by nobody."""
    inline = [one for token in READER.parse(markdown) for one in token.children or []]
    return " ".join("".join(one.content or " " for one in inline).replace("\u2060", "").split())


def altered(markdown: str) -> list[str]:
    """Texts of ours that stand in *markdown*, by their letters, and not as they were written."""
    letters = _letters(re.sub(r"‹U\+[0-9A-F]+›", "", markdown))
    read = as_read(markdown)
    long = [name for name in NAMES if len(_letters(name)) > 8 and _letters(name) in letters]
    return [name for name in long if as_visible(name) not in read]


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text)


def as_visible(text: str) -> str:
    """*text* on one line, its hidden characters by their numbers."""
    return "".join(f"‹U+{ord(c):04X}›" if hidden(c) else c for c in " ".join(text.split()))


def cells_of(text: str) -> list[str]:
    """Every cell of a CSV, its header's too."""
    return [cell for row in csv.reader(io.StringIO(text)) for cell in row]


def protos(test: AppTest) -> Iterator[Message]:
    """Every message of the page, whether AppTest knows its element or not."""

    def walk(block: Any) -> Iterator[Message]:
        proto = getattr(block, "proto", None)
        if isinstance(proto, Message):
            yield proto
        for child in getattr(block, "children", {}).values():
            yield from walk(child)

    yield from walk(test._tree)  # the public tree leaves out elements that it does not know
