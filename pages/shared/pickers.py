"""Pickers: table, data version, model, model version. What is picked is in the address; a link opens the same view."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.entities import Commit, ModelVersionKey
from core.inert import visible
from core.services.browse import TableSummary
from core.services.models import ModelSummary
from pages.shared import messages


def table(
    found: Sequence[TableSummary], key: str, *, label: str = "Table", at: DeltaGenerator | None = None
) -> str | None:
    """One of the registered tables by name; None where there are none."""
    return choose(label, [one.name for one in found], key, at=at)


def data_version(
    commits: Sequence[Commit], key: str, *, label: str = "Version", at: DeltaGenerator | None = None
) -> int | None:
    """One version of a table, the newest first; version 0 is a version."""
    words = {
        str(c.version): f"{c.version} · {c.operation} · {messages.local(c.timestamp)}"
        + (f" · +{c.rows_added} rows" if c.rows_added else "")
        for c in commits
    }
    picked = choose(label, list(words), key, words=words, at=at, of=commits[0].table if commits else "")
    return None if picked is None else int(picked)


def model(
    found: Sequence[ModelSummary], key: str, *, label: str = "Model", at: DeltaGenerator | None = None
) -> str | None:
    """One of the registered models by name."""
    return choose(label, [one.name for one in found], key, at=at)


def model_version(
    summary: ModelSummary, key: str, *, label: str = "Version", at: DeltaGenerator | None = None
) -> ModelVersionKey | None:
    """One version of a model, with its stage; the newest first."""
    words = {str(v.version): f"{v.version} · {messages.word(v.stage)}" for v in summary.versions}
    picked = choose(label, list(words), key, words=words, at=at, of=summary.name)
    return None if picked is None else ModelVersionKey(model=summary.name, version=int(picked))


def choose(
    label: str,
    options: Sequence[str],
    key: str,
    *,
    words: dict[str, str] | None = None,
    at: DeltaGenerator | None = None,
    index: int | None = 0,
    of: str = "",
) -> str | None:
    """A select box bound to the address under *key*; a value in the address that is not here is told.

    *of* names what the options belong to: when that changes, a choice made before goes back to *index*.
    """
    place = at or st
    asked = st.query_params.get(key)
    if asked and asked not in options and asked != st.session_state.get(f"{key}.seen"):
        place.warning(
            messages.plain(f"{label} {asked!r} of the address is not here; {_instead(index)}."),
            icon=":material/link_off:",
        )
    if not options:
        return None
    if words:
        return _choose_by_value(label, list(options), key, words, place, index, of)
    return place.selectbox(label, list(options), index=index, format_func=visible, key=key, bind="query-params")


def _instead(index: int | None) -> str:
    return "choose one" if index is None else "the first one is shown"


def _choose_by_value(
    label: str, options: list[str], key: str, words: dict[str, str], place: DeltaGenerator, index: int | None, of: str
) -> str | None:
    """The address keeps the value. A bound select box would keep its words, in which times and stages change."""
    box, seen = f"{key}.box", f"{key}.seen"
    asked = st.query_params.get(key)
    is_same = st.session_state.get(f"{key}.of", of) == of
    # Streamlit forgets a box that was not drawn for a run, behind another tab; the address still holds it.
    is_forgotten = box not in st.session_state and is_same
    if asked in options and (asked != st.session_state.get(seen) or is_forgotten):
        st.session_state[box] = asked
    elif st.session_state.get(box) not in options or not is_same:
        st.session_state[box] = None if index is None else options[index]
    picked = place.selectbox(label, options, format_func=lambda value: visible(words.get(value, value)), key=box)
    if picked is None:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = picked
    st.session_state[seen], st.session_state[f"{key}.of"] = picked, of
    return picked
