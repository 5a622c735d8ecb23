"""Why a KPI moved, on a page: what differs, the form, the running job, and the last answers as waterfalls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.access.permissions import Action
from core.delta.catalog import split_version
from core.entities import Actor, Event, ModelVersionKey
from core.features.kpi_change.result import Step, answer, is_number, number, steps
from core.features.kpi_change.what_differs import Differences, what_differs
from core.features.kpi_change.why_moved import REPEATS, past_answers, submit_why_moved
from core.features.runs.models import ModelSummary
from core.features.stores import Stores
from core.learning.comparison.compare_models import Verdict
from core.learning.kpis import CLASSIFICATION_METRICS, REGRESSION_METRICS, main_kpi
from pages._ui import charts, escaping, jobs, links, messages, pickers, session
from pages._ui.texts import t, tn, translated

_JOB = "models_moved"
_KPIS = (*CLASSIFICATION_METRICS, *REGRESSION_METRICS)
_SHADES = {Verdict.BETTER: "#009E73", Verdict.WORSE: "#D55E00"}
_GREY = "#7F8C99"


def why_moved(stores: Stores, actor: Actor, model: ModelSummary, key: ModelVersionKey) -> None:
    """Show what differs between *key* and another version, offer to split the change of the KPIs, show the answers."""
    st.write(
        t(
            "Trains every combination of what differs between two versions, on the pinned data versions, and splits "
            "the change of each KPI into parts. Nothing is registered. The result is recorded in the audit log."
        )
    )
    with messages.show_errors():
        _question(stores, actor, model, key)
    jobs.watch_version(stores, actor, key, kind="why-moved", address=_JOB)
    past = past_answers(stores, actor, key)
    if not past:
        st.info(t("No change of a KPI was explained yet."))
        return
    labels = {str(event.sequence): _label(event) for event in past}
    chosen = pickers.choose(t("Answer"), list(labels), "models_answer", labels=labels, of=str(key))
    _answer(next(event for event in past if str(event.sequence) == chosen))


def _question(stores: Stores, actor: Actor, model: ModelSummary, key: ModelVersionKey) -> None:
    rival = pickers.other_version(model, key, "models_moved_from", label=t("Changed from"))
    if rival is None:
        return
    _differences(what_differs(stores, actor, rival, key))
    if not session.may(actor, Action.MODEL_EXPLAIN):
        roles = messages.role_names(Action.MODEL_EXPLAIN)
        st.info(t("Only these roles can explain the change of a KPI: {roles}.", roles=roles))
        return
    with st.form("models_why_moved", border=False):
        left, right = st.columns(2)
        table = left.text_input(
            t("Rows to test on, as TABLE@N (default: training data that no training used)"), max_chars=500
        )
        repeats = right.number_input(
            t("Repeated trainings, for the intervals"),
            min_value=0,
            max_value=200,
            value=REPEATS,
            help=t("Each combination is trained this many more times on other draws of its training rows."),
        )
        reason = st.text_input(t("Reason (kept in the audit log)"), max_chars=500)
        if st.form_submit_button(t("Explain the change"), type="primary", icon=":material/waterfall_chart:"):
            name, version = split_version(table) if table.strip() else ("", None)
            job = submit_why_moved(
                stores, actor, rival, key, table=name, version=version, repeats=int(repeats), reason=reason
            )
            st.query_params[_JOB] = job.id


def _differences(differences: Differences) -> None:
    first, second = str(differences.first.key), str(differences.second.key)
    known = [(differing, t("yes")) for differing in differences.factors]
    known += [(differing, t("no, each training here uses the present one")) for differing in differences.inseparable]
    if not known:
        st.info(t("The versions do not differ in anything that ModelLedger records."))
        return
    rows = [
        {t("Differs"): entry.name, first: entry.before, second: entry.after, t("Can be trained apart"): apart}
        for entry, apart in known
    ]
    escaping.table(rows, placeholder="–", alt=t("What differs between the versions"))


def _answer(event: Event) -> None:
    """Show one answer: the sentence, the waterfall, and a table of the same numbers."""
    after = event.after
    names = [name for name in _KPIS if name in after["metrics"]]
    metric = pickers.choose(t("KPI"), names, "models_moved_kpi", index=names.index(main_kpi(names) or names[0]))
    if metric is None:
        return
    st.markdown(f"**{messages.plain(translated(answer(after, metric)))}**")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            t("by {name}, {time}", name=messages.plain(event.actor), time=messages.local_time(event.time)),
            width="content",
        )
        rows = tn("{n} row of {data}", "{n} rows of {data}", after["rows"], data=after["data"])
        st.caption(messages.plain(rows), width="content")
        links.link("audit", t("Event {number}", number=event.sequence), audit_event=str(event.sequence))
    bars = steps(after, metric)
    charts.show(
        _waterfall(bars, metric),
        alt=t("From the KPI of the first version to that of the second, one bar per part"),
        key="models_moved_waterfall",
        height=110 + 44 * len(bars),
    )
    words = {
        Verdict.BETTER: t("better"),
        Verdict.WORSE: t("worse"),
        Verdict.NO_DIFFERENCE: t("no difference shown"),
    }
    escaping.table(
        pd.DataFrame(
            [
                {
                    t("Step"): translated(bar.label),
                    metric: float(bar.value) if is_number(bar.value) else math.nan,
                    t("95 % interval"): bar.interval,
                    t("Verdict"): words.get(bar.verdict(metric), "–"),
                }
                for bar in bars
            ]
        ),
        column_config={metric: st.column_config.NumberColumn(format="%.4g")},
        alt=t("Parts of the change"),
    )
    for note in after["notes"]:
        st.caption(messages.plain(note))


def _label(event: Event) -> str:
    return f"{event.after['first']} · {event.after['data']} · {messages.local_time(event.time)}"


def _value(bar: Step) -> str:
    if bar.is_level:
        return f"{bar.value:.4g}" if is_number(bar.value) else t("undefined")
    return translated(number(bar.value))


def _waterfall(bars: list[Step], metric: str) -> go.Figure:
    """Return a point per level and a floating bar with its interval per change, from top to bottom."""
    figure, reached = go.Figure(), 0.0
    names = [charts.plain(translated(bar.name)) for bar in bars]
    joints: dict[str, list[Any]] = {"x": [], "y": []}
    for place, (bar, name) in enumerate(zip(bars, names, strict=True)):
        if not is_number(bar.value):
            continue
        hover = f"{charts.plain(translated(bar.label))} {_value(bar)} {bar.interval}<extra></extra>"
        if bar.is_level:
            figure.add_scatter(x=[bar.value], y=[name], hovertemplate=hover, **_level(_value(bar)))
            reached = bar.value
        else:
            figure.add_bar(x=[bar.value], base=[reached], y=[name], hovertemplate=hover, **_change(bar, metric))
            reached += bar.value
        if place + 1 < len(bars):
            joints["x"] += [reached, reached, None]
            joints["y"] += [name, names[place + 1], None]
    figure.add_scatter(
        **joints, mode="lines", line={"width": 1, "dash": "dot", "color": _GREY}, hoverinfo="skip", showlegend=False
    )
    figure.update_layout(xaxis_title=charts.plain(metric), bargap=0.35)
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    return figure


def _level(written: str) -> dict[str, Any]:
    return {
        "mode": "markers+text",
        "marker": {"size": 13, "symbol": "diamond", "color": charts.colours()[0]},
        "text": [written],
        "textposition": "top center",
        "cliponaxis": False,
        "showlegend": False,
    }


def _change(bar: Step, metric: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "orientation": "h",
        "marker": {"color": _SHADES.get(bar.verdict(metric), _GREY)},
        "showlegend": False,
    }
    if is_number(bar.low) and is_number(bar.high):
        options["error_x"] = _error(bar)
    return options


def _error(bar: Step) -> Mapping[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [bar.high - bar.value],
        "arrayminus": [bar.value - bar.low],
        "color": charts.ink(),
        "thickness": 2,
        "width": 6,
    }
