"""Head to head on a page: the form, the running job, and the last comparison as a picture and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.access.permissions import Action
from core.entities import Actor, Event, ModelVersionKey
from core.features.head_to_head.head_to_head import past_comparisons, submit_head_to_head
from core.features.runs.models import ModelSummary
from core.features.stores import Stores
from core.learning.comparison.compare_models import Verdict
from core.learning.kpis import CLASSIFICATION_METRICS, REGRESSION_METRICS
from pages._models.judged_rows import pick_rows
from pages._ui import charts, escaping, jobs, links, messages, pickers, session
from pages._ui.texts import t, tn

_JOB = "models_compared"
_KPIS = (*CLASSIFICATION_METRICS, *REGRESSION_METRICS)


def head_to_head(stores: Stores, actor: Actor, model: ModelSummary, key: ModelVersionKey) -> None:
    """Offer the comparison of *key* with another version, show a running one, and show the results."""
    st.write(
        t(
            "Lets two versions predict the same rows and compares their KPIs, each with a 95 % interval. Rows on which "
            "one of both was trained are left out. The result is recorded in the audit log."
        )
    )
    if session.may(actor, Action.MODEL_COMPARE):
        with messages.show_errors():
            _form(stores, actor, model, key)
    else:
        roles = messages.role_names(Action.MODEL_COMPARE)
        st.info(t("Only these roles can compare model versions: {roles}.", roles=roles))
    jobs.watch_version(stores, actor, key, kind="head-to-head", address=_JOB)
    past = past_comparisons(stores, actor, key)
    if not past:
        st.info(t("Not compared yet."))
        return
    labels = {str(event.sequence): _label(event) for event in past}
    chosen = pickers.choose(t("Comparison"), list(labels), "models_comparison", labels=labels, of=str(key))
    result(next(event for event in past if str(event.sequence) == chosen))


def result(event: Event) -> None:
    """Show one comparison: the verdicts in words, the intervals as a picture, then classes and slices."""
    # The log keeps the keys in alphabetical order.
    metrics = {name: event.after["metrics"][name] for name in _KPIS if name in event.after["metrics"]}
    after = {**event.after, "metrics": metrics}
    second, first = (messages.plain(after[name]) for name in ("second", "first"))
    st.markdown(
        f"**{t('{second} against {first} on {data}', second=second, first=first, data=messages.plain(after['data']))}**"
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            t("by {name}, {time}", name=messages.plain(event.actor), time=messages.local_time(event.time)),
            width="content",
        )
        st.caption(tn("{n} row compared", "{n} rows compared", after["rows"]), width="content")
        links.link("audit", t("Event {number}", number=event.sequence), audit_event=str(event.sequence))
    for sentence in _verdicts(after):
        st.markdown(sentence)
    charts.show(
        intervals(metrics),
        alt=t("Difference of each KPI with its 95 % interval"),
        key="models_compared_intervals",
        height=90 + 42 * len(metrics),
    )
    _table([{t("KPI"): name, **_numbers(values, after)} for name, values in metrics.items()], t("KPIs"))
    if after.get("mcnemar"):
        st.caption(
            t(
                "McNemar's test: only {first} is right in {only_first} rows, only {second} in {only_second}; p = "
                "{p_value:.3g}.",
                first=first,
                second=second,
                only_first=after["mcnemar"]["only_first"],
                only_second=after["mcnemar"]["only_second"],
                p_value=after["mcnemar"]["p_value"],
            )
        )
    for note in after["notes"]:
        st.caption(messages.plain(note))
    if after["classes"]:
        with st.expander(t("By class"), icon=":material/category:"):
            _parts(after["classes"], after, t("Class"), t("Comparison by class"))
    if after["slices"]:
        with st.expander(t("By slice, the smallest first"), icon=":material/pie_chart:"):
            _parts(after["slices"], after, t("Slice"), t("Comparison by slice"))


def _form(stores: Stores, actor: Actor, model: ModelSummary, key: ModelVersionKey) -> None:
    left, middle, right = st.columns([3, 3, 4])
    rival = pickers.other_version(model, key, "models_against", label=t("Compare with"), at=left)
    if rival is None:
        return
    chosen = pick_rows(stores, actor, model, key, "models_rows", at=(middle, right))
    if chosen is None:
        return
    with st.form("models_head_to_head", border=False):
        target = st.text_input(t("Column with the true values (default: the target of the runs)"), max_chars=200)
        reason = st.text_input(t("Reason (kept in the audit log)"), max_chars=500)
        if st.form_submit_button(t("Compare versions"), type="primary", icon=":material/compare_arrows:"):
            table, version = chosen
            job = submit_head_to_head(
                stores, actor, rival, key, table=table, version=version, target=target.strip(), reason=reason
            )
            st.query_params[_JOB] = job.id


def _label(event: Event) -> str:
    return f"{event.after['first']} · {event.after['data']} · {messages.local_time(event.time)}"


def _verdicts(after: Mapping[str, Any]) -> list[str]:
    """Return one sentence per verdict, with the KPIs that have it."""
    second, first = messages.plain(after["second"]), messages.plain(after["first"])
    sentences = {
        Verdict.BETTER: t("better than {first}", first=first),
        Verdict.WORSE: t("worse than {first}", first=first),
        Verdict.NO_DIFFERENCE: t("no difference shown"),
        Verdict.UNDEFINED: t("undefined on these rows"),
    }
    lines = []
    for verdict, words in sentences.items():
        names = [
            messages.plain(name) for name, values in after["metrics"].items() if values["verdict"] == verdict.value
        ]
        if names:
            lines.append(f"- **{second}**: {words} ({', '.join(names)})")
    return lines


def intervals(metrics: dict[str, Mapping[str, Any]]) -> go.Figure:
    """Return one dot with its interval per KPI; a difference of 0 is a line."""
    shades = {Verdict.BETTER.value: "#009E73", Verdict.WORSE.value: "#D55E00"}
    figure = go.Figure()
    for name, values in reversed(metrics.items()):
        low, high = values["low"], values["high"]
        if not isinstance(low, int | float) or not isinstance(high, int | float):
            continue
        figure.add_scatter(
            x=[values["difference"]],
            y=[charts.plain(name)],
            mode="markers",
            marker={"size": 11, "color": shades.get(values["verdict"], "#7F8C99")},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - values["difference"]],
                "arrayminus": [values["difference"] - low],
                "thickness": 2,
                "width": 6,
            },
            hovertemplate=f"{charts.plain(name)} %{{x:+.4g}} [{low:+.4g}, {high:+.4g}]<extra></extra>",
            showlegend=False,
        )
    figure.add_vline(x=0, line={"dash": "dash", "width": 1})
    figure.update_layout(xaxis_title=t("Difference with its 95 % interval"))
    return figure


def _numbers(values: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {
        str(after["first"]): _number(values["first"]),
        str(after["second"]): _number(values["second"]),
        t("Difference"): values["difference"] if isinstance(values["difference"], int | float) else math.nan,
        t("Interval"): f"[{_number(values['low'], '+')}, {_number(values['high'], '+')}]",
        t("Verdict"): _verdict(values["verdict"]),
    }


def _parts(parts: list[Mapping[str, Any]], after: Mapping[str, Any], title: str, alt: str) -> None:
    rows = [
        {
            title: f"{part['column']}: {part['name']}" if "column" in part else part["name"],
            t("Rows"): part["rows"],
            t("KPI"): metric,
            **_numbers(values, after),
        }
        for part in parts
        for metric, values in part["metrics"].items()
    ]
    _table(rows, alt)


def _table(rows: list[dict[str, Any]], alt: str) -> None:
    signed = st.column_config.NumberColumn(format="%+.4g")
    escaping.table(pd.DataFrame(rows), placeholder="–", column_config={t("Difference"): signed}, alt=alt)


def _verdict(value: str) -> str:
    return {
        Verdict.BETTER.value: t("better"),
        Verdict.WORSE.value: t("worse"),
        Verdict.NO_DIFFERENCE.value: t("no difference shown"),
    }.get(value, t("undefined"))


def _number(value: object, sign: str = "") -> str:
    return f"{value:{sign}.4g}" if isinstance(value, int | float) else t("undefined")
