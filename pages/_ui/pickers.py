"""Pickers: table, data version, model, model version. What is picked is in the address; a link opens the same view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.entities import Commit, ModelVersionKey
from core.escaping import visible
from core.features.data.browse import TableSummary
from core.features.runs.models import ModelSummary
from pages._ui import messages


def table(
    found: Sequence[TableSummary], key: str, *, label: str = "Table", at: DeltaGenerator | None = None
) -> str | None:
    """One of the registered tables by name; None where there are none."""
    return choose(label, [one.name for one in found], key, at=at)


def data_version(
    commits: Sequence[Commit], key: str, *, label: str = "Version", at: DeltaGenerator | None = None, index: int = 0
) -> int | None:
    """One version of a table, the newest first; version 0 is a version."""
    words = {
        str(c.version): f"{c.version}"
        + (f" · +{c.rows_added} rows" if c.rows_added else "")
        + f" · {messages.local(c.timestamp)} · {c.operation}"
        for c in commits
    }
    of = commits[0].table if commits else ""
    picked = choose(label, list(words), key, words=words, at=at, index=index, of=of)
    return None if picked is None else int(picked)


def any_version(
    read: Callable[[int | None], Sequence[Commit]], key: str, *, most: int, at: DeltaGenerator | None = None
) -> int | None:
    """One of the newest *most* versions of a table, or any older one by its number.

    *read* gives so many commits, newest first, None for all. A list of thousands would be sent at each rerun: of the
    older ones only the one that is asked for is among the options.
    """
    offered = list(read(most))
    if len(offered) == most and offered[-1].version > 0:
        box, oldest = f"{key}.older", offered[-1].version
        (at or st).number_input(
            f"Or an older version, below {oldest}",
            min_value=0,
            max_value=oldest - 1,
            value=None,
            step=1,
            key=box,
            on_change=lambda: _ask_number(key, box),
        )
        asked = st.query_params.get(key)
        if asked and asked not in {str(one.version) for one in offered}:
            offered += [one for one in read(None)[most:] if str(one.version) == asked]
    return data_version(offered, key, at=at)


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
    is_missing = asked and asked not in options and asked != st.session_state.get(f"{key}.seen")
    picked = _choose_by_value(label, list(options), key, words or {}, place, index, of) if options else None
    if is_missing:
        instead = "choose one" if picked is None else f"{picked} is shown"
        place.warning(
            messages.plain(f"{label} {asked!r} of the address is not here; {instead}."), icon=":material/link_off:"
        )
    return picked


def choose_some(
    label: str,
    options: Sequence[str],
    key: str,
    *,
    default: Sequence[str],
    at: DeltaGenerator | None = None,
) -> list[str]:
    """Several of *options*, in the address under *key* also where they are the *default*; none chosen is kept too."""
    box, seen = f"{key}.box", f"{key}.seen"
    asked = st.query_params.get_all(key)
    if asked and (asked != st.session_state.get(seen) or box not in st.session_state):
        st.session_state[box] = [one for one in asked if one in options]
    elif box not in st.session_state or not set(st.session_state[box]) <= set(options):
        st.session_state[box] = list(default)
    picked = list((at or st).multiselect(label, list(options), format_func=visible, key=box))
    # An empty list would leave the address, and that means the default.
    kept = picked or [""]
    if kept != asked:
        st.query_params[key] = kept
    st.session_state[seen] = kept
    return picked


def ask(key: str, value: str) -> None:
    """Makes the picker of *key* show *value* from the next run on, as an address that names it would."""
    st.query_params[key] = value


def _ask_number(key: str, box: str) -> None:
    number = st.session_state[box]
    if number is not None:
        ask(key, str(number))


def _choose_by_value(
    label: str,
    options: list[str],
    key: str,
    words: dict[str, str],
    place: DeltaGenerator | ModuleType,
    index: int | None,
    of: str,
) -> str | None:
    """The address keeps the value, always.

    A bound select box would keep its words, in which times and stages change; and it would leave out what is its
    default, which is another one once a name is registered that sorts before it.
    """
    box, seen = f"{key}.box", f"{key}.seen"
    asked = st.query_params.get(key)
    is_same = st.session_state.get(f"{key}.of", of) == of
    # Streamlit forgets a box that was not drawn for a run, behind another tab; the address still holds it.
    is_forgotten = box not in st.session_state and is_same
    if asked in options and (asked != st.session_state.get(seen) or is_forgotten):
        st.session_state[box] = asked
    elif st.session_state.get(box) not in options or not is_same:
        st.session_state[box] = None if index is None else options[index]
    picked: str | None = place.selectbox(
        label, options, format_func=lambda value: visible(words.get(value, value)), key=box
    )
    if picked is None:
        st.query_params.pop(key, None)
    elif picked != asked:
        st.query_params[key] = picked
    st.session_state[seen], st.session_state[f"{key}.of"] = picked, of
    return picked
