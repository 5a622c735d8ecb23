"""Pickers of tables, data versions, models and model versions. The address keeps the choice, so links open it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.entities import Commit, ModelVersionKey
from core.escaping import visible
from core.features.data.browse import TableSummary
from core.features.runs.models import ModelSummary, ModelVersions
from pages._ui import messages
from pages._ui.texts import t, tn, translated


def table(tables: Sequence[TableSummary], key: str, *, at: DeltaGenerator | None = None) -> str | None:
    """Return the name of the chosen table; None where there are no tables."""
    return choose(t("Table"), [table.name for table in tables], key, at=at)


def data_version(
    commits: Sequence[Commit], key: str, *, label: str | None = None, at: DeltaGenerator | None = None, index: int = 0
) -> int | None:
    """Return the chosen version of a table. The newest is the first option; version 0 is falsy but valid."""
    labels = {str(commit.version): _commit_label(commit) for commit in commits}
    of = commits[0].table if commits else ""
    chosen = choose(label or t("Version"), list(labels), key, labels=labels, at=at, index=index, of=of)
    return None if chosen is None else int(chosen)


def any_version(
    read: Callable[[int | None], Sequence[Commit]], key: str, *, most: int, at: DeltaGenerator | None = None
) -> int | None:
    """Return one of the newest *most* versions of a table, or an older one by its number.

    *read* returns that many commits, newest first; None stands for all. Of the older versions only the one in the
    address is an option, because a list of thousands would be sent at each rerun.
    """
    offered = list(read(most))
    if len(offered) == most and offered[-1].version > 0:
        box, oldest = f"{key}.older", offered[-1].version
        (at or st).number_input(
            t("Or an older version, below {oldest}", oldest=oldest),
            min_value=0,
            max_value=oldest - 1,
            value=None,
            step=1,
            key=box,
            on_change=lambda: _preselect_number(key, box),
        )
        linked = st.query_params.get(key)
        if linked and linked not in {str(commit.version) for commit in offered}:
            offered += [commit for commit in read(None)[most:] if str(commit.version) == linked]
    return data_version(offered, key, at=at)


def model(
    models: Sequence[ModelSummary] | Sequence[ModelVersions], key: str, *, at: DeltaGenerator | None = None
) -> str | None:
    """Return the name of the chosen model."""
    return choose(t("Model"), [model.name for model in models], key, at=at)


def model_version(
    summary: ModelSummary | ModelVersions, key: str, *, at: DeltaGenerator | None = None
) -> ModelVersionKey | None:
    """Return the chosen version of a model; the newest is the first option."""
    labels = {
        str(v.version): " · ".join((str(v.version), messages.label(v.stage), *(f"@{alias}" for alias in v.aliases)))
        for v in summary.versions
    }
    chosen = choose(t("Version"), list(labels), key, labels=labels, at=at, of=summary.name)
    return None if chosen is None else ModelVersionKey(model=summary.name, version=int(chosen))


def other_version(
    summary: ModelSummary, than: ModelVersionKey, key: str, *, label: str, at: DeltaGenerator | None = None
) -> ModelVersionKey | None:
    """Return another version of the model *than* the given one; None if there is none.

    The default is the version in Production, or else the version before the given one.
    """
    labels = {
        str(v.version): f"{v.version} · {messages.label(v.stage)}"
        for v in summary.versions
        if v.version != than.version
    }
    if not labels:
        st.info(t("This model has no other version to compare with."))
        return None
    before = next((number for number in labels if int(number) < than.version), next(iter(labels)))
    production = str(summary.production)
    index = list(labels).index(production if production in labels else before)
    chosen = choose(label, list(labels), key, labels=labels, at=at, index=index, of=str(than))
    return None if chosen is None else ModelVersionKey(model=summary.name, version=int(chosen))


def choose(
    label: str,
    options: Sequence[str],
    key: str,
    *,
    labels: Mapping[str, str] | None = None,
    at: DeltaGenerator | None = None,
    index: int | None = 0,
    of: str = "",
) -> str | None:
    """Return the choice in a select box; the address keeps it under *key*, and an unknown value there is reported.

    *labels* are the texts of the options. *of* names what the options belong to: when it changes, the choice goes
    back to *index*.
    """
    place = at or st
    linked = st.query_params.get(key)
    is_missing = linked and linked not in options and linked != st.session_state.get(f"{key}.seen")
    chosen = _choose_by_value(label, list(options), key, labels or {}, at, index, of) if options else None
    if is_missing and chosen is None:
        sentence = t("{label} “{value}” in the address does not exist.", label=label, value=linked)
        place.warning(messages.plain(sentence), icon=":material/link_off:")
    elif is_missing:
        sentence = t(
            "{label} “{value}” in the address does not exist. {chosen} is shown instead.",
            value=linked,
            label=label,
            chosen=chosen,
        )
        place.warning(messages.plain(sentence), icon=":material/link_off:")
    return chosen


def choose_word(label: str, words: Mapping[str, str], key: str) -> str:
    """Return the choice in a select box of a few known values, by default the first.

    *words* gives the text of each value. The address holds a choice other than the first.
    """
    first = next(iter(words))
    linked = st.query_params.get(key, first)
    box, seen = f"{key}.box", f"{key}.seen"
    if linked in words and (linked != st.session_state.get(seen) or box not in st.session_state):
        st.session_state[box] = linked
    value: str = st.selectbox(label, list(words), format_func=lambda name: translated(words[name]), key=box, width=178)
    if value == first:
        st.query_params.pop(key, None)
    elif value != st.query_params.get(key):
        st.query_params[key] = value
    st.session_state[seen] = value
    return value


def choose_some(
    label: str,
    options: Sequence[str],
    key: str,
    *,
    default: Sequence[str],
    at: DeltaGenerator | None = None,
) -> list[str]:
    """Return the choices in a multiselect; the address keeps them under *key*, also the *default* and no choice."""
    box, seen = f"{key}.box", f"{key}.seen"
    linked = st.query_params.get_all(key)
    if linked and (linked != st.session_state.get(seen) or box not in st.session_state):
        st.session_state[box] = [option for option in linked if option in options]
    elif box not in st.session_state or not set(st.session_state[box]) <= set(options):
        st.session_state[box] = list(default)
    chosen = list((at or st).multiselect(label, list(options), format_func=visible, key=box))
    # An empty list would leave the address, and an address without the key means the default.
    kept = chosen or [""]
    if kept != linked:
        st.query_params[key] = kept
    st.session_state[seen] = kept
    return chosen


def preselect(key: str, value: str) -> None:
    """Make the picker of *key* show *value* from the next run on, as an address with it would."""
    st.query_params[key] = value


def _preselect_number(key: str, box: str) -> None:
    number = st.session_state[box]
    if number is not None:
        preselect(key, str(number))


def _choose_by_value(
    label: str,
    options: list[str],
    key: str,
    labels: Mapping[str, str],
    at: DeltaGenerator | None,
    index: int | None,
    of: str,
) -> str | None:
    """Keep the value in the address, always.

    A select box with bind="query-params" would keep its label, in which times and stages change. It would leave out
    its default, which changes when a name is registered that sorts before it.
    """
    box, seen = f"{key}.box", f"{key}.seen"
    linked = st.query_params.get(key)
    is_same = st.session_state.get(f"{key}.of", of) == of
    # Streamlit forgets a box that one run did not draw, such as a box in another tab. The address still holds it.
    is_forgotten = box not in st.session_state and is_same
    if linked in options and (linked != st.session_state.get(seen) or is_forgotten):
        st.session_state[box] = linked
    elif st.session_state.get(box) not in options or not is_same:
        st.session_state[box] = None if index is None else options[index]
    text = labels.get(st.session_state[box] or "")
    if text != st.session_state.get(f"{key}.text", text):
        # The browser keeps the text of a choice until the choice is set: a request was open, and is rejected now.
        st.session_state[box] = st.session_state[box]
    st.session_state[f"{key}.text"] = text
    chosen: str | None = (at or st).selectbox(
        label, options, format_func=lambda value: visible(labels.get(value, value)), key=box
    )
    if chosen is None:
        st.query_params.pop(key, None)
    elif chosen != linked:
        st.query_params[key] = chosen
    st.session_state[seen], st.session_state[f"{key}.of"] = chosen, of
    return chosen


def _commit_label(commit: Commit) -> str:
    added = tn("+{n} row", "+{n} rows", commit.rows_added) if commit.rows_added else ""
    parts = (str(commit.version), added, messages.local_time(commit.timestamp), commit.operation)
    return " · ".join(filter(None, parts))
