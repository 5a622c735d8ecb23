"""Texts of the pages in the language of the session: `t` for a sentence, `tn` where a number decides the form.

Their templates are literals, so that `make texts` finds them. Call them while the page runs: a text that is made when
a module is imported has the language of nobody.
"""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.errors import CoreError
from core.texts import COMPLETE_LANGUAGES, SOURCE_LANGUAGE, languages, translate, translate_plural, translate_sentence


def t(template: str, /, **values: Any) -> str:
    """Return *template* in the language of the session, formatted with *values*."""
    return translate(template, language(), **values)


def tn(singular: str, plural: str, n: int, /, **values: Any) -> str:
    """Return the form of the text that belongs to *n*; `{n}` is always available."""
    return translate_plural(singular, plural, n, language(), **values)


def translated(sentence: str | CoreError) -> str:
    """Return a sentence or an error of core in the language of the session."""
    if isinstance(sentence, CoreError):
        # An error whose sentence is its template has no values in it; its braces come from data.
        values = {} if str(sentence) == sentence.template else sentence.values
        return translate(sentence.template, language(), **values)
    return translate_sentence(sentence, language())


def language() -> str:
    """Return the code of the session's language: the browser's where all texts are translated, else English."""
    preferred = preferred_language()
    return preferred if preferred in COMPLETE_LANGUAGES else SOURCE_LANGUAGE


def preferred_language() -> str:
    """Return the code of the browser's language where some texts are translated, else English."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return SOURCE_LANGUAGE
    preferred = (st.context.locale or SOURCE_LANGUAGE).replace("_", "-").split("-")[0].lower()
    return preferred if preferred in languages() else SOURCE_LANGUAGE
