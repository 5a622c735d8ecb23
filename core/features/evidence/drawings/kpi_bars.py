"""KPIs of a model version as bars, beside those of the version that it was compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.features.evidence.drawings.svg import OTHER, OWN, WIDTH, Drawing
from core.features.evidence.section import Picture
from core.learning.kpis import metric_text
from core.texts import text, translate_sentence

_NAME, _VALUES, _BAR = 120, 190, 11
_MOST = 20


def draw_kpis(
    rows: Sequence[tuple[str, float, float | None, str]], *, own: str, rival: str | None, language: str
) -> Picture | None:
    """Draw each KPI (name, own value, the rival's value, verdict) on a scale from 0 to 1, or to the larger of both.

    At most 20 KPIs are drawn; those whose value is not finite or below zero are left out, as the table has them.
    """
    drawn = [row for row in rows if _is_drawable(row[1]) and (row[2] is None or _is_drawable(row[2]))][:_MOST]
    if not drawn:
        return None
    has_rival = rival is not None and any(other is not None for _, _, other, _ in drawn)
    row_height = 2 * _BAR + 10 if has_rival else _BAR + 10
    drawing = Drawing(24 + len(drawn) * row_height)
    names = [(own, OWN), *([(rival, OTHER)] if has_rival and rival is not None else [])]
    drawing.legend(0, 10, names)
    room = WIDTH - _NAME - _VALUES
    for place, (name, value, other, verdict) in enumerate(drawn):
        y = 22 + place * row_height
        scale = max(1.0, value, other or 0.0) if _is_share(value, other) else max(value, other or 0.0) or 1.0
        drawing.text(0, y + (_BAR + 5 if other is not None else 9), name, width=_NAME - 8)
        drawing.rectangle(_NAME, y, room * value / scale, _BAR, fill=OWN)
        drawing.text(_NAME + room + 8, y + 9, metric_text(value), is_bold=True)
        if other is not None:
            drawing.rectangle(_NAME, y + _BAR + 1, room * other / scale, _BAR, fill=OTHER)
            drawing.text(_NAME + room + 8, y + _BAR + 10, metric_text(other))
            said = f"{metric_text(value - other) if value < other else '+' + metric_text(value - other)}"
            drawing.text(_NAME + room + 66, y + 9, said)
            drawing.text(_NAME + room + 66, y + _BAR + 10, translate_sentence(verdict, language), width=_VALUES - 66)
        drawing.line(_NAME, y - 3, _NAME, y + row_height - 5)
    return drawing.picture(_alt(drawn, own, rival if has_rival else None, language))


def _is_drawable(value: float) -> bool:
    return math.isfinite(value) and value >= 0.0


def _is_share(value: float, other: float | None) -> bool:
    return value <= 1.0 and (other or 0.0) <= 1.0


def _alt(rows: Sequence[tuple[str, float, float | None, str]], own: str, rival: str | None, language: str) -> str:
    values = "; ".join(
        f"{name} {metric_text(value)}" + ("" if other is None else f" / {metric_text(other)}")
        for name, value, other, _ in rows
    )
    sentence = (
        text("Bars of the KPIs of {own}: {values}", own=own, values=values)
        if rival is None
        else text("Bars of the KPIs of {own} and {rival}: {values}", own=own, rival=rival, values=values)
    )
    return translate_sentence(sentence, language)
