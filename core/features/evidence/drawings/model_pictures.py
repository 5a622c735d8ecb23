"""What a model does on its test rows, drawn from the numbers that training wrote: matrix, curves, residuals.

Where the version that it was compared with has the same picture, both stand side by side, on the same scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.features.evidence.drawings.svg import OTHER, OWN, WIDTH, Drawing
from core.features.evidence.section import Picture
from core.learning.kpis import metric_text
from core.learning.pictures.pictures import ConfusionMatrix, Curve, Histogram, Pictures
from core.texts import text, translate_sentence

MOST_CLASSES = 12
_MOST_CURVES = 6
_GAP = 24
Side = tuple[str, Pictures]
Say = Callable[[str], str]


def draw_model(sides: Sequence[Side], language: str) -> list[Picture]:
    """Return the pictures of *sides*: the version and, if known, the version that it was compared with."""

    def say(sentence: str) -> str:
        return translate_sentence(sentence, language)

    drawn = (_matrices(sides, say), _roc(sides, say), _predicted(sides, say), _residuals(sides, say))
    return [picture for picture in drawn if picture is not None]


def has_many_classes(pictures: Pictures | None) -> bool:
    """Return whether the confusion matrix has too many classes to be drawn."""
    return pictures is not None and pictures.confusion is not None and len(pictures.confusion.labels) > MOST_CLASSES


# ---- classification ---------------------------------------------------------------------------------------------


def _matrices(sides: Sequence[Side], say: Say) -> Picture | None:
    known = [(name, p.confusion) for name, p in sides if p.confusion and 0 < len(p.confusion.labels) <= MOST_CLASSES]
    if not known or known[0][0] != sides[0][0]:
        return None
    width = (WIDTH - _GAP) / 2
    most = max(len(matrix.labels) for _, matrix in known)
    cell = min((width - 90) / most, 62.0)
    height = 56 + min(cell, 32.0) * most
    drawing = Drawing(height)
    for place, (name, matrix) in enumerate(known):
        _matrix(drawing, place * (width + _GAP), width, cell, name, matrix, say)
    counts = "; ".join(
        f"{name}: "
        + ", ".join(
            f"{actual} → {predicted} {count}"
            for actual, row in zip(matrix.labels, matrix.counts, strict=True)
            for predicted, count in zip(matrix.labels, row, strict=True)
            if count
        )
        for name, matrix in known
    )
    return drawing.picture(say(text("Confusion matrix, actual → predicted: {counts}", counts=counts)))


def _matrix(
    drawing: Drawing, x: float, width: float, cell: float, name: str, matrix: ConfusionMatrix, say: Say
) -> None:
    drawing.text(x, 10, name, is_bold=True, width=width)
    drawing.text(x, 23, say(text("Confusion matrix; rows: actual class, columns: predicted class")), size=9)
    left, top, height = x + 86, 46, min(cell, 32.0)
    for column, label in enumerate(matrix.labels):
        drawing.text(left + (column + 0.5) * cell, top - 4, label, anchor="middle", size=9, width=cell)
    for row, (label, counts) in enumerate(zip(matrix.labels, matrix.counts, strict=True)):
        y, total = top + row * height, sum(counts)
        drawing.text(left - 6, y + height / 2 + 3, label, anchor="end", size=9, width=80)
        for column, count in enumerate(counts):
            share = count / total if total else 0.0
            drawing.rectangle(
                left + column * cell, y, cell, height, fill=OWN, opacity=round(share, 2), stroke="currentColor"
            )
            drawing.text(
                left + (column + 0.5) * cell,
                y + height / 2 + 4,
                str(count),
                anchor="middle",
                fill="#ffffff" if share > 0.5 else "currentColor",
                size=min(11.0, height / 2),
            )


def _roc(sides: Sequence[Side], say: Say) -> Picture | None:
    own = sides[0][1].roc[:_MOST_CURVES]
    if not own:
        return None
    rivals = {curve.label: curve for _, pictures in sides[1:] for curve in pictures.roc}
    columns = 3 if len(own) > 1 else 2
    size = (WIDTH - (columns - 1) * _GAP) / columns - 20
    panel = size + 76
    rows = -(-len(own) // columns)
    drawing = Drawing(22 + rows * panel)
    names = [(sides[0][0], OWN), *((name, OTHER) for name, _ in sides[1:] if rivals)]
    drawing.legend(0, 10, names, is_dashed_second=True)
    said = []
    for place, curve in enumerate(own):
        x, y = 20 + (place % columns) * (size + 20 + _GAP), 50 + (place // columns) * panel
        rival = rivals.get(curve.label)
        _curve_panel(drawing, x, y, size, curve, rival, say)
        areas = "" if curve.summary is None else metric_text(curve.summary)
        said.append(
            f"{curve.label} {areas}"
            + (f" / {metric_text(rival.summary)}" if rival and rival.summary is not None else "")
        )
    return drawing.picture(say(text("ROC curves of each class against the rest; area: {areas}", areas="; ".join(said))))


def _curve_panel(
    drawing: Drawing, x: float, y: float, size: float, curve: Curve, rival: Curve | None, say: Say
) -> None:
    drawing.text(x - 20, y - 20, say(text("ROC curve: {label}", label=curve.label)), is_bold=True, width=size + 20)
    areas = [metric_text(shown.summary) for shown in (curve, rival) if shown is not None and shown.summary is not None]
    if areas:
        drawing.text(x - 20, y - 6, say(text("area under the curve: {areas}", areas=" / ".join(areas))), size=9)
    drawing.rectangle(x, y, size, size, stroke="currentColor")
    drawing.line(x, y + size, x + size, y)
    for shown, colour, is_dashed in ((rival, OTHER, True), (curve, OWN, False)):
        if shown is not None:
            drawing.polyline(
                [(x + size * px, y + size * (1 - py)) for px, py in zip(shown.x, shown.y, strict=True)],
                stroke=colour,
                is_dashed=is_dashed,
            )
    for value in (0.0, 1.0):
        drawing.text(x + size * value, y + size + 11, f"{value:g}", anchor="end" if value else "start", size=9)
        drawing.text(x - 4, y + size * (1 - value) + 4, f"{value:g}", anchor="end", size=9)
    drawing.text(x + size / 2, y + size + 11, say(text("false positive rate")), anchor="middle", size=9)
    drawing.text(x + size / 2, y + size + 23, say(text("(upwards: true positive rate)")), anchor="middle", size=9)


# ---- regression -------------------------------------------------------------------------------------------------


def _predicted(sides: Sequence[Side], say: Say) -> Picture | None:
    known = [(name, p.predicted_actual) for name, p in sides if p.predicted_actual and p.predicted_actual.x]
    if not known or known[0][0] != sides[0][0]:
        return None
    values = [value for _, curve in known for value in (*curve.x, *curve.y)]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    size = (WIDTH - _GAP) / 2 - 50
    drawing = Drawing(size + 70)
    for place, (name, curve) in enumerate(known):
        x, y = 50 + place * (size + 50 + _GAP), 32
        drawing.text(x - 50, 10, name, is_bold=True, width=size + 50)
        drawing.text(x - 50, 23, say(text("Predicted against actual values; the diagonal is right")), size=9)
        drawing.rectangle(x, y, size, size, stroke="currentColor")
        drawing.line(x, y + size, x + size, y, opacity=0.6)
        for actual, predicted in zip(curve.x, curve.y, strict=True):
            drawing.dot(
                x + size * (actual - low) / span,
                y + size * (1 - (predicted - low) / span),
                fill=OWN if place == 0 else OTHER,
            )
        _axis(drawing, x, y, size, low, high)
        drawing.text(x + size / 2, y + size + 12, say(text("actual")), anchor="middle", size=9)
        drawing.text(x + size / 2, y + size + 25, say(text("(upwards: predicted)")), anchor="middle", size=9)
    return drawing.picture(
        say(
            text(
                "Predicted against actual values of {names}, from {low} to {high}; a point on the diagonal is right",
                names=", ".join(name for name, _ in known),
                low=metric_text(low),
                high=metric_text(high),
            )
        )
    )


def _axis(drawing: Drawing, x: float, y: float, size: float, low: float, high: float) -> None:
    for share, value in ((0.0, low), (1.0, high)):
        label = metric_text(value)
        drawing.text(x + size * share, y + size + 12, label, anchor="start" if share == 0 else "end", size=9)
        drawing.text(x - 4, y + size * (1 - share) + (8 if share else 0), label, anchor="end", size=9)


def _residuals(sides: Sequence[Side], say: Say) -> Picture | None:
    known = [(name, p.residuals) for name, p in sides if p.residuals and len(p.residuals.edges) > 1]
    if not known or known[0][0] != sides[0][0]:
        return None
    low = min(histogram.edges[0] for _, histogram in known)
    high = max(histogram.edges[-1] for _, histogram in known)
    span = (high - low) or 1.0
    width, height = (WIDTH - _GAP) / 2, 110.0
    drawing = Drawing(height + 60)
    said = []
    for place, (name, histogram) in enumerate(known):
        x = place * (width + _GAP)
        drawing.text(x, 10, name, is_bold=True, width=width)
        counts = _total(histogram)
        most = max(counts, default=0) or 1
        drawing.text(x, 23, say(text("Residuals (predicted − actual); highest bar: {count} rows", count=most)), size=9)
        base = 32 + height
        for start, end, count in zip(histogram.edges, histogram.edges[1:], counts, strict=False):
            drawing.rectangle(
                x + width * (start - low) / span,
                base - height * count / most,
                width * (end - start) / span - 0.6,
                height * count / most,
                fill=OWN if place == 0 else OTHER,
            )
        drawing.line(x, base, x + width, base, opacity=0.8)
        if low < 0 < high:
            drawing.line(x + width * -low / span, 32, x + width * -low / span, base, opacity=0.8)
            drawing.text(x + width * -low / span, base + 12, "0", anchor="middle", size=9)
        drawing.text(x, base + 12, metric_text(low), size=9)
        drawing.text(x + width, base + 12, metric_text(high), anchor="end", size=9)
        said.append(f"{name}: {metric_text(histogram.edges[0])} … {metric_text(histogram.edges[-1])}")
    return drawing.picture(say(text("Distribution of the residuals; range of {ranges}", ranges="; ".join(said))))


def _total(histogram: Histogram) -> list[int]:
    bins = len(histogram.edges) - 1
    return [sum(counts[place] for counts in histogram.counts.values() if place < len(counts)) for place in range(bins)]
