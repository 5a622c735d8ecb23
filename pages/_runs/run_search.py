"""The search on the page Compare runs: filters, order and page. The address keeps them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.delta.catalog import split_version
from core.entities import Actor, RunStatus
from core.errors import BadFilter
from core.escaping import visible
from core.features.history.moment import Moment
from core.features.runs.runs import list_experiments
from core.features.runs.search import (
    RunOrder,
    RunQuery,
    RunResults,
    condition,
    field_names,
    list_model_names,
    parse_order,
    search_runs,
)
from core.features.stores import Stores
from core.learning.kpis import is_lower_better
from core.texts import text
from pages._ui import escaping, messages, paging, pickers, session
from pages._ui.texts import t, tn, translated

_SIZES = (50, 200, 500)
# How long a rerun waits for an order of all runs, and for their number. The rest is read while the page is open.
_WAIT_S, _COUNT_S = 3.0, 0.5
_STEP_S = 0.8
_NEWEST_FIRST = RunOrder()
_ORDERS = {
    _NEWEST_FIRST: text("Newest first"),
    RunOrder(field="start_time", ascending=True): text("Oldest first"),
    RunOrder(field="duration"): text("Longest first"),
    RunOrder(field="duration", ascending=True): text("Shortest first"),
    RunOrder(field="name", ascending=True): text("Name"),
}
_OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "LIKE", "ILIKE")
_CONDITION = ("runs_field", "runs_operator", "runs_value")


@dataclass(frozen=True)
class _Filters:
    query: RunQuery
    is_set: bool


def results(stores: Stores, actor: Actor, moment: Moment | None = None) -> RunResults:
    """Draw the search and return the page of runs that it finds; draw a message where there are none.

    With *moment*, only runs that had started by then are found.
    """
    filters = _filters(stores, actor, moment)
    names = field_names(stores, actor, filters.query)
    row = st.columns([4, 2, 2, 2, 2], vertical_alignment="bottom")
    order = _order(names, row[0])
    size = row[1].selectbox(t("Runs per page"), _SIZES, key="runs_size", bind="query-params") or _SIZES[0]
    _add_condition(names, row[3])
    query = replace(filters.query, order=parse_order(order))
    again = row[4].button(t("Read again"), icon=":material/refresh:", help=t("Read all runs from MLflow again."))
    of = repr((query, size))
    found = search_runs(
        stores,
        actor,
        query,
        number=paging.requested_page("runs_page", of=of),
        size=size,
        wait_s=_WAIT_S,
        count_s=_COUNT_S,
        again=again,
    )
    paging.page_box("runs_page", found.number, last=found.last, of=of, at=row[2])
    if not found.runs:
        _say_that_none_match(found, is_filtered=filters.is_set)
    if found.folded:
        folded = tn(
            "{n} nested run is folded into its parent run.",
            "{n} nested runs are folded into their parent runs.",
            found.folded,
        )
        st.caption(folded)
    _progress(stores, actor, query, found)
    return found


def _filters(stores: Stores, actor: Actor, moment: Moment | None) -> _Filters:
    first = st.columns([3, 3, 3, 2])
    name = first[0].text_input(t("Name contains"), key="runs_text", bind="query-params") or ""
    data = first[1].text_input(
        t("Trained on"), placeholder="iris_training_data@2", key="runs_data", bind="query-params"
    )
    experiments = first[2].multiselect(
        t("Experiment"),
        list_experiments(stores, actor),
        format_func=visible,
        key="runs_experiment",
        bind="query-params",
    )
    status = first[3].selectbox(
        t("Status"),
        [status.value for status in RunStatus],
        index=None,
        placeholder=t("any"),
        key="runs_status",
        bind="query-params",
        disabled=moment is not None,
    )
    nested = st.toggle(
        t("Nested runs"),
        key="runs_nested",
        bind="query-params",
        help=t("List the runs that are nested in another run. Otherwise open their parent run to see them."),
    )
    keys = ("runs_model", "runs_user", "runs_since", "runs_until", "runs_filter")
    with st.expander(t("More filters"), expanded=any(key in st.query_params for key in keys)):
        more = st.columns([3, 3, 2, 2])
        models = list_model_names(stores, actor)
        model = pickers.choose(t("Registered model"), models, "runs_model", at=more[0], index=None)
        user = more[1].text_input(t("User"), key="runs_user", bind="query-params") or ""
        started = more[2].date_input(t("Started from"), None, key="runs_since", bind="query-params")
        ended = more[3].date_input(t("Started until"), None, key="runs_until", bind="query-params")
        written = st.text_input(
            t("Filter in MLflow's syntax"),
            placeholder="metrics.rmse < 0.3 AND params.depth = '3'",
            key="runs_filter",
            bind="query-params",
            help=t("Comparisons of metrics, params, tags and attributes, joined by AND."),
        )
    table, version = split_version(data) if data and data.strip() else (None, None)
    query = RunQuery(
        filter=written or "",
        name=name,
        user=user,
        experiments=tuple(experiments),
        status=RunStatus(status) if status else None,
        since=_start(started),
        until=_end(ended),
        table=table,
        version=version,
        model=model,
        nested=nested,
    )
    is_set = replace(query, nested=True) != RunQuery()
    if moment is not None:
        # MLflow knows only the present status.
        until = min(filter(None, (query.until, moment.time)))
        query = replace(query, until=until, status=None)
    return _Filters(query, is_set)


def _start(day: object) -> datetime | None:
    return datetime.combine(day, time.min, UTC) if isinstance(day, date) else None


def _end(day: object) -> datetime | None:
    return datetime.combine(day, time.max, UTC) if isinstance(day, date) else None


def _add_condition(names: tuple[str, ...], at: DeltaGenerator) -> None:
    """Draw the form that appends a condition to the filter, for people who do not know the syntax."""
    with at.popover(t("Condition"), icon=":material/filter_alt:"), st.form("runs_condition", border=False):
        fields = [*names, "start_time", "end_time"]
        st.selectbox(
            t("Field"),
            fields,
            index=None,
            format_func=visible,
            accept_new_options=True,
            placeholder="metrics.rmse",
            key=_CONDITION[0],
        )
        st.selectbox(t("Operator"), _OPERATORS, key=_CONDITION[1])
        st.text_input(t("Value"), key=_CONDITION[2])
        st.form_submit_button(t("Add to the filter"), on_click=_append_condition)
    problem = st.session_state.pop("runs_condition_problem", None)
    if problem:
        st.warning(messages.plain(problem), icon=":material/filter_alt_off:")


def _append_condition() -> None:
    field, operator, value = (st.session_state.get(key) or "" for key in _CONDITION)
    try:
        added = str(condition(field, operator, value))
    except BadFilter as error:
        st.session_state["runs_condition_problem"] = str(error)
        return
    st.session_state["runs_filter"] = " AND ".join(filter(None, (st.session_state.get("runs_filter"), added)))


def _order(names: tuple[str, ...], at: DeltaGenerator) -> str:
    labels = {str(order): translated(label) for order, label in _ORDERS.items()}
    for name in names:
        kind, _, short = name.partition(".")
        is_lowest_first = kind != "metrics" or bool(is_lower_better(short))
        for ascending in (is_lowest_first, not is_lowest_first):
            label = t("{name}, lowest first", name=name) if ascending else t("{name}, highest first", name=name)
            labels[str(RunOrder(field=name, ascending=ascending))] = label
    linked = st.query_params.get("runs_order", "")
    if linked and linked not in labels:
        # A metric that the newest runs lack.
        labels[linked] = str(parse_order(linked))
    return pickers.choose(t("Order"), list(labels), "runs_order", labels=labels, at=at) or str(_NEWEST_FIRST)


def _say_that_none_match(found: RunResults, *, is_filtered: bool) -> None:
    if not found.is_complete and found.total:
        st.info(t("Page {number} is not read yet.", number=found.number))
    elif not found.is_complete:
        st.info(t("No run matches among those read so far."))
    elif is_filtered:
        st.info(t("No runs match these filters. Remove a filter to see more runs."))
    else:
        st.info(t("No runs yet. Start a training on the page **Training**."))


def _progress(stores: Stores, actor: Actor, query: RunQuery, found: RunResults) -> None:
    """Show how many runs match; where runs are still to be read, read on while the page is open."""
    if not found.is_complete:
        # The page is drawn again when it can be filled; an order other than newest first needs all runs.
        until = None if found.runs or not query.order.is_newest_first else found.number * found.size
        _read_on(stores, actor, query, until, session.sign_in_check())
        return
    if found.is_capped:
        sentence = t("More than {n:,} runs match; the oldest are left out. Narrow the search.", n=found.read)
        st.warning(messages.plain(sentence), icon=":material/filter_alt:")
    if found.total:
        place = t("page {number} of {last}", number=found.number, last=found.last)
        read_at = t("read at {time}", time=messages.local_time(found.read_at, seconds=True))
        escaping.text(f"{_count(found.total)} · {place} · {read_at}")


@st.fragment(run_every=1.0)
def _read_on(
    stores: Stores, actor: Actor, query: RunQuery, until: int | None, require_signed_in: Callable[[], None]
) -> None:
    """Read on for a part of each second. The page is drawn again when *until* runs match, or when all runs are read."""
    with messages.show_errors():
        require_signed_in()
        found = search_runs(stores, actor, query, size=1, wait_s=_STEP_S, count_s=_STEP_S)
        if found.is_complete or (until is not None and found.total >= until):
            st.rerun()
        sentence = tn("{n} run read so far", "{n:,} runs read so far", found.read)
        if not query.order.is_newest_first:
            sentence = t("{read}; the order is among these runs", read=sentence)
        st.caption(f":material/sync: {messages.plain(t('Reading runs from MLflow: {read}.', read=sentence))}")


def _count(total: int) -> str:
    return tn("{n} run", "{n:,} runs", total)
