"""Text made inert: for cells of a spreadsheet, for a terminal, for JSON; what is harmless stays as it was written."""

from __future__ import annotations

import json
import unicodedata

import pytest

from core.escaping import cell, cells, in_json, line, visible

HARMLESS = [
    "",
    "iris_classifier/3",
    "Übermäßig – 3 €",
    "数据 データ",
    "مرحبا",
    "naïve cafe\u0301",
    "👩\u200d🔬 ✔\ufe0f 🏴 👍🏽",
]
# U+1FAE8 is younger than the tables of Python 3.11.
PICTOGRAPH = "\U0001fae8"


@pytest.mark.parametrize("text", [*HARMLESS, PICTOGRAPH])
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    assert visible(text) == cell(text) == line(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\u202egnp.exe", "‹U+202E›gnp.exe"),
        ("a\u2066b\u2069", "a‹U+2066›b‹U+2069›"),
        ("man\u200dager", "man‹U+200D›ager"),
        ("zero\u200bwidth", "zero‹U+200B›width"),
        ("\x1b]0;owned\x07", "‹U+001B›]0;owned‹U+0007›"),
        ("c1 \x9b31m", "c1 ‹U+009B›31m"),
        ("tag \U000e0041", "tag ‹U+E0041›"),
        ("two\u2028lines", "two‹U+2028›lines"),
        ("\ufeffbom", "‹U+FEFF›bom"),
    ],
)
def test_what_hides_or_steers_is_shown_by_its_number(text: str, shown: str) -> None:
    assert visible(text) == cell(text) == line(text) == shown


@pytest.mark.parametrize("text", ["=1+1", "+41 44", "-1", "@SUM(A1)", "\tx", "＝1+1", "＋1", "－1", "＠x", " =1"])
def test_text_that_a_spreadsheet_would_run_is_made_inert(text: str) -> None:
    assert cell(text) == f"'{text}"
    assert cell(f"x{text}") == f"x{text}"
    assert cell(cell(text)) == cell(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x;=HYPERLINK(A1)", "x;'=HYPERLINK(A1)"),
        ("x; @SUM(A1)", "x;' @SUM(A1)"),
        ("x\t+41;-1", "x\t'+41;'-1"),
        ("x;;=1", "x;;'=1"),
        ("x;\t=1", "x;\t'=1"),
        ("x;＝1", "x;'＝1"),
        ("x\n=1;", "x\n'=1;"),
        ("\n=1", "'\n'=1"),
        (";=1", ";'=1"),
    ],
)
def test_text_that_becomes_a_formula_where_a_spreadsheet_splits_it_is_made_inert(text: str, shown: str) -> None:
    assert cell(text) == shown
    assert cell(cell(text)) == cell(text)


@pytest.mark.parametrize("text", ["a; b", "a;b=1", "rmse = 1; mae = 2", "a\tb", "two\nlines", "x, =1"])
def test_separators_before_plain_text_stay_as_they_are(text: str) -> None:
    assert cell(text) == text


def test_a_carriage_return_begins_no_cell() -> None:
    assert cell("\r=1+1") == "'‹U+000D›=1+1"


def test_texts_inside_lists_and_mappings_are_made_inert_and_numbers_stay() -> None:
    assert cells({"=a": ["-b", 1, None], "c": -2.5}) == {"'=a": ["'-b", 1, None], "c": -2.5}


def test_a_terminal_gets_one_line() -> None:
    assert line("a\r\nstatus  approved\nb\tc") == "a ↵ status  approved ↵ b c"


@pytest.mark.parametrize("text", [*HARMLESS, "\u202e\x7f\x9b", "\ud83d", "\U000e0041\u2028", "\x00\n\t"])
def test_json_means_the_same_and_hides_nothing(text: str) -> None:
    document = json.dumps({"text": text}, ensure_ascii=False, indent=1)
    shown = in_json(document)
    assert json.loads(shown) == {"text": text}
    hidden = {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\u200d"}
    assert hidden == set()


def test_json_of_letters_is_still_read_by_people() -> None:
    assert in_json('"Übermäßig 数据"') == '"Übermäßig 数据"'
