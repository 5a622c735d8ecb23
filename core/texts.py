"""Sentences that core makes for people: English templates with named values, which a catalogue can translate.

`text` and `plural` return the English sentence as a string. The string keeps its template and values, so that a page
can show the same sentence in another language. `make texts` extracts each literal template into
`core/locale/modelledger.pot`. A literal brace is doubled in a template with values; a template without values is the
sentence as it stands, as with CoreError.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, reduce
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

SOURCE_LANGUAGE = "en"
# Languages with every text of the app. A catalogue of another language has at least every text of the dossier.
COMPLETE_LANGUAGES = (SOURCE_LANGUAGE,)
LOCALE_DIR = Path(__file__).with_name("locale")
_DOMAIN = "modelledger"


class Sentence(str):
    """An English sentence that knows the template and the values from which it was formatted."""

    template: str
    plural_template: str | None
    n: int
    values: dict[str, Any]

    def __new__(cls, template: str, plural_template: str | None, n: int, values: dict[str, Any]) -> Self:
        chosen = template if plural_template is None or n == 1 else plural_template
        sentence = super().__new__(cls, _formatted(chosen, values))
        sentence.template, sentence.plural_template, sentence.n, sentence.values = template, plural_template, n, values
        return sentence

    def __reduce__(self) -> tuple[type[Self], tuple[str, str | None, int, dict[str, Any]]]:
        """Sentences cross process boundaries with jobs."""
        return type(self), (self.template, self.plural_template, self.n, self.values)


def text(template: str, /, **values: Any) -> Sentence:
    """Return *template* formatted with *values*."""
    return Sentence(template, None, 1, values)


def plural(singular: str, plural: str, n: int, /, **values: Any) -> Sentence:
    """Return *singular* for n = 1 and *plural* for any other n, formatted with *values*; `{n}` is always available."""
    return Sentence(singular, plural, n, {"n": n, **values})


def joined(sentences: Sequence[str]) -> str:
    """Return *sentences*, at least one, as one text in which each can still be translated."""
    return reduce(lambda before, after: text("{before} {after}", before=before, after=after), sentences)


def translate(template: str, language: str, /, **values: Any) -> str:
    """Return *template* in *language*, formatted with *values*. A template without a translation stays English."""
    return _formatted(_catalogue(language).gettext(template), _translated(values, language))


def translate_plural(singular: str, plural: str, n: int, language: str, /, **values: Any) -> str:
    """Return the plural form of *language* for *n*, formatted with *values*; `{n}` is always available."""
    template = _catalogue(language).ngettext(singular, plural, n)
    return _formatted(template, _translated({"n": n, **values}, language))


def translate_sentence(sentence: str, language: str) -> str:
    """Return *sentence* in *language* where it keeps its template; any other string is returned as it is."""
    if not isinstance(sentence, Sentence):
        return sentence
    if sentence.plural_template is None:
        return translate(sentence.template, language, **sentence.values)
    return translate_plural(sentence.template, sentence.plural_template, sentence.n, language, **sentence.values)


@cache
def languages() -> tuple[str, ...]:
    """Return the codes of all languages that have a catalogue, English first. The pages use COMPLETE_LANGUAGES."""
    translated = sorted(path.parent.parent.name for path in LOCALE_DIR.glob(f"*/LC_MESSAGES/{_DOMAIN}.po"))
    return (SOURCE_LANGUAGE, *translated)


def language_name(language: str) -> str:
    """Return the name of *language* in itself."""
    # Imported late, as below.
    from babel import Locale

    return str(Locale.parse(language).get_display_name(language)).capitalize()


def _formatted(template: str, values: dict[str, Any]) -> str:
    return template.format(**values) if values else template


def _translated(values: dict[str, Any], language: str) -> dict[str, Any]:
    """Values can be sentences themselves, such as a reason within an error."""
    return {
        name: translate_sentence(value, language) if isinstance(value, str) else value for name, value in values.items()
    }


def read_catalogue(language: str) -> Catalog:
    """Return all texts of *language*, not English, with their translations."""
    # Imported late: English needs no babel, and the command line starts without it.
    from babel.messages.pofile import read_po

    path = LOCALE_DIR / language / "LC_MESSAGES" / f"{_DOMAIN}.po"
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


@cache
def _catalogue(language: str) -> NullTranslations:
    """The .po file is compiled in memory, so that no build step stands between a translator and the app."""
    if language == SOURCE_LANGUAGE:
        return NullTranslations()
    from babel.messages.mofile import write_mo

    compiled = BytesIO()
    write_mo(compiled, read_catalogue(language))
    compiled.seek(0)
    return GNUTranslations(compiled)
