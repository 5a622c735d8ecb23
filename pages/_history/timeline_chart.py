"""The timeline of stages as a picture: bars over time, coloured by stage. A click on a bar opens its decision."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.access.permissions import Action
from core.entities import Stage
from core.features.history.stage_timeline import PeriodEnd, PeriodSource, StagePeriod, VersionTimeline
from core.texts import text
from pages._ui import charts, escaping, links, messages
from pages._ui.texts import t, translated

# Seen on light and on dark; each bar also has a word.
_COLOURS = {Stage.ARCHIVED: ("#8A949E", "#7C8894"), Stage.NONE: ("#D5DBE0", "#3F4C58")}
_OUTSIDE_COLOUR = ("#C92A2A", "#FF8787")
_LONGEST_LABEL = 24
_LONGEST_REASON = 240
_REASON_WIDTH = 60
# Pixels for one row, and for the axis and the legend around the rows.
_ROW, _AROUND = 26, 96
# A bar is drawn at least this wide, as a part of the whole width, so that it can be seen and clicked.
_NARROWEST = 0.006
# What a click opens: the page by the parameter that names the decision or the event there.
_PAGES = {"promotions_request": "promotions", "audit_event": "audit", "finding": "audit"}
_SOURCES = {
    PeriodSource.DECISION: text("decision"),
    PeriodSource.ACCEPTED: text("accepted as found"),
    PeriodSource.REGISTRY: text("registry"),
}


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One period on a row of the picture, with the words on it."""

    version: VersionTimeline
    period: StagePeriod
    word: str

    @property
    def target(self) -> list[str]:
        """The parameter of an address, and its value: what a click opens. Both are empty where there is nothing."""
        decision, period = self.period.decision, self.period
        if decision is not None and decision.request is not None:
            return ["promotions_request", decision.request]
        return ["", ""] if period.sequence is None else ["audit_event", str(period.sequence)]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the picture: a version, or a model with the versions that were in Production."""

    label: str
    bars: tuple[Bar, ...]


def hatched_note(rows: Sequence[Row]) -> str:
    """Return a sentence about hatched bars; an empty text where no bar is hatched."""
    if not any(_is_hatched(bar.period) for row in rows for bar in row.bars):
        return ""
    return t("Hatched: the registry shows the stage, and nobody decided it in ModelLedger.")


def draw(rows: Sequence[Row], *, moment: datetime, key: str, alt: str) -> None:
    """Draw *rows* from the first time that they know to *moment*. A click on a bar opens its decision or its event."""
    # A figure that stays the same for a minute is not drawn anew with each run of the page.
    end = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
    picked = charts.show_selectable(_figure(rows, end), alt=alt, key=key, height=_AROUND + _ROW * len(rows))
    if picked is None:
        return
    name, value = picked
    if name in _PAGES:
        tab = {"audit_tab": t("Findings")} if name == "finding" else {}
        links.go(_PAGES[name], t("Show the decision"), **tab, **{name: str(value)})
    else:
        st.caption(t("Only the registry shows this stage, so there is no decision to open."))


def words(rows: Sequence[Row], *, key: str) -> None:
    """Say the same as a table, the newest period of each row first."""
    start, end = t("From"), t("To")
    lines = [
        {
            t("Model version"): str(bar.version.key),
            t("Stage"): messages.label(bar.period.stage),
            start: bar.period.start,
            t("Known"): t("exact") if bar.period.is_start_exact else t("at the latest since then"),
            end: bar.period.end,
            t("Ended by"): bar.period.ended_by.value if bar.period.ended_by else None,
            t("Source"): translated(_SOURCES[bar.period.source]),
            t("Decided by"): ", ".join(bar.period.decision.decided_by) if bar.period.decision else None,
            t("Requested by"): bar.period.decision.requested_by if bar.period.decision else None,
            t("Reason"): bar.period.decision.reason if bar.period.decision else None,
            t("Request"): bar.period.decision.request if bar.period.decision else None,
            t("Event"): bar.period.sequence,
        }
        for row in rows
        for bar in reversed(row.bars)
    ]
    escaping.table(
        pd.DataFrame(lines),
        style=messages.coloured,
        placeholder="–",
        column_config={name: messages.time_column(name) for name in (start, end)},
        key=key,
        alt=t("Stages over time as a table"),
    )


def _figure(rows: Sequence[Row], moment: datetime) -> go.Figure:
    zone = ZoneInfo(messages.viewer_zone())
    bars = [bar for row in rows for bar in row.bars]
    starts = [bar.period.start for bar in bars] + [b.period.not_before for b in bars if b.period.not_before]
    first = min(starts, default=moment)
    span = max((moment - first).total_seconds(), 60.0)
    figure = go.Figure()
    _add_unknown(figure, rows, zone)
    for stage in (Stage.NONE, Stage.ARCHIVED, Stage.STAGING, Stage.PRODUCTION):
        part = [(place, bar) for place, row in enumerate(rows) for bar in row.bars if bar.period.stage is stage]
        if part:
            _add_bars(figure, stage, part, moment, span, zone)
    _add_outside(figure, rows, zone)
    figure.update_layout(
        barmode="overlay",
        bargap=0.3,
        uniformtext={"minsize": 10, "mode": "hide"},
        margin={"l": 12, "r": 12, "t": 8, "b": 12},
        legend={"orientation": "h", "y": -34 / (_ROW * len(rows)), "yanchor": "top", "x": 0, "traceorder": "reversed"},
        hoverlabel={"align": "left"},
    )
    pad = timedelta(seconds=span * 0.01)
    figure.update_xaxes(type="date", range=[_local(first - pad, zone), _local(moment + pad, zone)])
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(rows))),
        ticktext=[charts.plain(_short(row.label)) for row in rows],
        range=[len(rows) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    return figure


def _add_bars(
    figure: go.Figure,
    stage: Stage,
    part: Sequence[tuple[int, Bar]],
    moment: datetime,
    span: float,
    zone: ZoneInfo,
) -> None:
    figure.add_bar(
        orientation="h",
        width=0.72,
        name=messages.word(stage),
        y=[place for place, _ in part],
        base=[_local(bar.period.start, zone) for _, bar in part],
        x=[
            max(((bar.period.end or moment) - bar.period.start).total_seconds(), span * _NARROWEST) * 1000
            for _, bar in part
        ],
        text=[charts.plain(bar.word) for _, bar in part],
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        hovertext=[_words(bar) for _, bar in part],
        hoverinfo="text",
        customdata=[bar.target for _, bar in part],
        marker={
            "color": _colour(stage),
            "line": {"width": 1, "color": "rgba(128,138,147,0.9)"},
            "pattern": {"shape": ["/" if _is_hatched(bar.period) else "" for _, bar in part], "solidity": 0.25},
        },
    )


def _add_unknown(figure: go.Figure, rows: Sequence[Row], zone: ZoneInfo) -> None:
    """Add thin bars for the time before the first stage that is known."""
    part = [
        (place, bar, bar.period.not_before)
        for place, row in enumerate(rows)
        for bar in row.bars
        if bar.period is bar.version.periods[0] and bar.period.not_before and not bar.period.is_start_exact
    ]
    if not part:
        return
    figure.add_bar(
        orientation="h",
        name=t("stage not known"),
        y=[place for place, _, _ in part],
        base=[_local(since, zone) for _, _, since in part],
        x=[(bar.period.start - since).total_seconds() * 1000 for _, bar, since in part],
        width=0.18,
        hovertext=[
            t(
                "{version}: registered {time}. The registry keeps no earlier history of its stages.",
                version=charts.plain(bar.version.key),
                time=messages.local_time(since),
            )
            for _, bar, since in part
        ],
        hoverinfo="text",
        marker={"color": _colour(Stage.NONE), "line": {"width": 0}},
    )


def _add_outside(figure: go.Figure, rows: Sequence[Row], zone: ZoneInfo) -> None:
    """Mark where a stage was changed, or a version deleted, outside ModelLedger."""
    part = [
        (place, bar)
        for place, row in enumerate(rows)
        for bar in row.bars
        if bar.period.ended_by in (PeriodEnd.OUTSIDE, PeriodEnd.DELETED) and bar.period.end
    ]
    if not part:
        return
    figure.add_scatter(
        name=t("changed outside"),
        mode="markers",
        x=[_local(bar.period.end, zone) for _, bar in part if bar.period.end],
        y=[place for place, _ in part],
        marker={"symbol": "x", "size": 9, "color": _OUTSIDE_COLOUR[charts.is_dark()]},
        hovertext=[_words(bar) for _, bar in part],
        hoverinfo="text",
        customdata=[["finding", bar.period.finding] if bar.period.finding else bar.target for _, bar in part],
    )


def _words(bar: Bar) -> str:
    """Return what a bar says on hover, as plotly's HTML."""
    period, decision = bar.period, bar.period.decision
    since = messages.local_time(period.start)
    lines = [f"{charts.plain(bar.version.key)} · {charts.plain(messages.word(period.stage))}"]
    if period.is_start_exact:
        lines.append(t("from {time}", time=since))
    else:
        lines.append(t("at the latest since {time}; the registry keeps no earlier history", time=since))
    lines.append(_end_words(period))
    if decision is None:
        lines.append(t("not decided in ModelLedger") if period.stage is not Stage.NONE else t("as registered"))
        return "<br>".join(lines)
    people = charts.plain(", ".join(decision.decided_by))
    if decision.is_acceptance:
        lines.append(t("accepted as found by {names}", names=people))
    elif decision.action == Action.PROMOTION_ROLLBACK.value:
        lines.append(t("rolled back by {names}", names=people))
    else:
        lines.append(t("approved by {names}", names=people))
        if decision.requested_by:
            lines.append(t("requested by {name}", name=charts.plain(decision.requested_by)))
    reason = textwrap.shorten(decision.reason, _LONGEST_REASON, placeholder=" …")
    lines += [charts.plain(line) for line in textwrap.wrap(f"“{reason}”", _REASON_WIDTH)]
    return "<br>".join(lines)


def _end_words(period: StagePeriod) -> str:
    time = messages.local_time(period.end)
    match period.ended_by:
        case None:
            return t("and still")
        case PeriodEnd.DECISION:
            return t("to {time}", time=time)
        case PeriodEnd.ACCEPTED:
            return t("accepted as found at {time}", time=time)
        case PeriodEnd.OUTSIDE:
            return t("changed outside ModelLedger, at the latest at {time}", time=time)
        case PeriodEnd.DELETED:
            return t("deleted from the registry, at the latest at {time}", time=time)
        case PeriodEnd.UNFINISHED:
            return t("changed by a decision that is unfinished, at the latest at {time}", time=time)


def _is_hatched(period: StagePeriod) -> bool:
    return period.source is PeriodSource.REGISTRY and period.stage is not Stage.NONE


def _colour(stage: Stage) -> str:
    if stage is Stage.PRODUCTION:
        return "#009E73"
    if stage is Stage.STAGING:
        return charts.DARK[0] if charts.is_dark() else charts.LIGHT[1]
    return _COLOURS[stage][charts.is_dark()]


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return *moment* in the viewer's zone without its name: plotly would draw it in UTC."""
    return moment.astimezone(zone).replace(tzinfo=None)
