"""Templates of sentences: English by default, translated by a catalogue, kept across process boundaries."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import texts
from core.texts import plural, text, translate, translate_plural, translate_sentence

SPANISH = r"""
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"

msgid "{table} is append-only."
msgstr "Solo se pueden añadir filas a {table}."

msgid "{n} row"
msgid_plural "{n} rows"
msgstr[0] "{n} fila"
msgstr[1] "{n} filas"
"""


@pytest.fixture
def spanish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    folder = tmp_path / "es" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "modelledger.po").write_text(SPANISH, encoding="utf-8")
    monkeypatch.setattr(texts, "LOCALE_DIR", tmp_path)
    texts.languages.cache_clear()
    texts._catalogue.cache_clear()
    yield "es"
    texts.languages.cache_clear()
    texts._catalogue.cache_clear()


def test_text_is_the_english_sentence() -> None:
    assert text("{table} is append-only.", table="sales") == "sales is append-only."


def test_doubled_braces_are_literal_in_a_template_with_values() -> None:
    assert text("Write {{name}} for {table}.", table="sales") == "Write {name} for sales."


def test_braces_of_a_template_without_values_stay() -> None:
    assert text("Write {name}.") == "Write {name}."


@pytest.mark.parametrize(("n", "sentence"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows")])
def test_plural_follows_the_number(n: int, sentence: str) -> None:
    assert plural("{n} row", "{n} rows", n) == sentence


def test_sentence_keeps_its_template_when_pickled() -> None:
    sentence = pickle.loads(pickle.dumps(plural("{n} row of {table}", "{n} rows of {table}", 2, table="sales")))
    assert sentence == "2 rows of sales"
    assert (sentence.template, sentence.plural_template) == ("{n} row of {table}", "{n} rows of {table}")
    assert sentence.values == {"n": 2, "table": "sales"}


def test_missing_value_is_an_error_and_no_half_sentence() -> None:
    with pytest.raises(KeyError, match="table"):
        text("{table} is append-only: {reason}", reason="set")


def test_a_language_needs_its_file_only(spanish: str) -> None:
    assert texts.languages() == ("en", "es")
    assert translate("{table} is append-only.", spanish, table="sales") == "Solo se pueden añadir filas a sales."
    assert [translate_plural("{n} row", "{n} rows", n, spanish) for n in (1, 2)] == ["1 fila", "2 filas"]


def test_sentence_of_core_is_translated_with_the_sentences_in_it(spanish: str) -> None:
    outer = text("{table} is append-only.", table=plural("{n} row", "{n} rows", 2))
    assert outer == "2 rows is append-only."
    assert translate_sentence(outer, spanish) == "Solo se pueden añadir filas a 2 filas."


def test_text_without_a_translation_stays_english(spanish: str) -> None:
    assert translate("Version {version}", spanish, version=3) == "Version 3"
    assert translate_sentence("stored long ago", spanish) == "stored long ago"
