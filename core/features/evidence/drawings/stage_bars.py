"""The timeline of a model's stages as bars: a row per version, newest first, up to the newest fact of the dossier."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from core.entities import Stage
from core.features.evidence.drawings.svg import OTHER, OWN, WIDTH, Drawing
from core.features.evidence.section import Picture, plain
from core.features.evidence.words import word
from core.features.history.stage_periods import ModelTimeline, PeriodSource, StagePeriod, VersionTimeline
from core.texts import text, translate_sentence

_MOST_VERSIONS = 15
_NAME, _ROW = 90, 20
_SHORTEST_LABELLED = 60
# The dark colour is Production, also in grey. White letters stand on it, dark ones on the others.
_COLOURS = {
    Stage.PRODUCTION: (OWN, "#ffffff"),
    Stage.STAGING: (OTHER, "#000000"),
    Stage.ARCHIVED: ("#bbbbbb", "#000000"),
}
Say = Callable[[str], str]


def draw_stages(timeline: ModelTimeline, version: int, as_of: datetime, language: str) -> Picture | None:
    """Draw the stages of the newest versions, *version* among them. None where no version ever had a stage."""

    def say(sentence: str) -> str:
        return translate_sentence(sentence, language)

    shown = _shown(timeline, version)
    if not any(period.stage in _COLOURS for entry in shown for period in entry.periods):
        return None
    start = min(min(period.start, as_of) for entry in shown for period in entry.periods if period.stage in _COLOURS)
    span = max((as_of - start).total_seconds(), 1.0)
    room = WIDTH - _NAME
    drawing = Drawing(26 + len(shown) * _ROW + 18)
    drawing.legend(_NAME, 10, [(say(word(stage)), colour) for stage, (colour, _) in _COLOURS.items()])
    said = []
    for row, entry in enumerate(shown):
        y = 22 + row * _ROW
        drawing.text(0, y + 11, f"/{entry.version}", is_bold=entry.version == version, width=_NAME - 4)
        drawing.line(_NAME, y + 7, WIDTH, y + 7, opacity=0.15)
        for period in entry.periods:
            if period.stage not in _COLOURS:
                continue
            left, right = (_NAME + room * _share(moment, start, as_of, span) for moment in (period.start, period.end))
            fill, ink = _COLOURS[period.stage]
            drawing.rectangle(left, y, max(right - left, 1.5), 14, fill=fill)
            label = say(word(period.stage))
            if right - left >= _SHORTEST_LABELLED:
                drawing.text(left + 4, y + 10.5, label, fill=ink, size=9, width=right - left - 6)
            said.append(f"/{entry.version} {label} {plain(min(period.start, as_of))}")
    base = 22 + len(shown) * _ROW + 10
    drawing.text(_NAME, base, _day(start), size=9)
    drawing.text(WIDTH, base, _day(as_of), size=9, anchor="end")
    alt = text("Stages of the versions of {model} over time: {stages}", model=timeline.model, stages="; ".join(said))
    return drawing.picture(say(alt))


def production_periods(timeline: ModelTimeline, as_of: datetime) -> list[str]:
    """Return who was in Production when, and by whose decision, as sentences, oldest first."""
    return [_sentence(entry, period, as_of) for entry, period in timeline.in_stage(Stage.PRODUCTION)]


def _sentence(entry: VersionTimeline, period: StagePeriod, as_of: datetime) -> str:
    values = {"version": str(entry.key), "start": plain(min(period.start, as_of))}
    values["end"] = (
        text("up to the state of this dossier") if period.end is None else text("until {time}", time=plain(period.end))
    )
    if period.decision is None or period.source is PeriodSource.REGISTRY:
        return text(
            "{version} was in Production at the latest from {start} {end}: the registry says so, no decision.", **values
        )
    values["person"] = ", ".join(map(plain, period.decision.decided_by))
    if period.source is PeriodSource.ACCEPTED:
        return text("{version} was in Production from {start} {end}: {person} accepted it as found.", **values)
    return text("{version} was in Production from {start} {end}, by decision of {person}.", **values)


def _shown(timeline: ModelTimeline, version: int) -> list[VersionTimeline]:
    """Return the newest versions; *version* takes the last place where it is older."""
    shown = list(timeline.versions[:_MOST_VERSIONS])
    own = next((entry for entry in timeline.versions if entry.version == version), None)
    return shown if own is None or own in shown else [*shown[:-1], own]


def _share(moment: datetime | None, start: datetime, as_of: datetime, span: float) -> float:
    return (min(moment or as_of, as_of) - start).total_seconds() / span


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
