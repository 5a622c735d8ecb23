"""A vector picture as an SVG document: the same calls give the same bytes. Text takes the colour of the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

from core.escaping import visible
from core.features.evidence.section import Picture

# The widths of a page of the dossier, in units of the drawing. 11 units are 8.5 points in print.
WIDTH = 640
FONT_SIZE = 11
# Okabe and Ito's blue and orange: apart in every kind of colour blindness and, as dark and light, in grey.
OWN, OTHER = "#0072B2", "#E69F00"
# Half the height of a letter in ems is this many units: text has no width that can be known here.
_LETTER = 0.52
Anchor = Literal["start", "middle", "end"]


class Drawing:
    """Shapes on a canvas of *width* by *height* units, from the top left corner."""

    def __init__(self, height: float, width: float = WIDTH) -> None:
        self.width, self.height = width, height
        self._shapes: list[str] = []

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str = "none",
        opacity: float = 1.0,
        stroke: str = "none",
    ) -> None:
        self._shapes.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(max(width, 0.0))}" height="{_n(max(height, 0.0))}" '
            f'fill="{fill}" fill-opacity="{_n(opacity)}" stroke="{stroke}" stroke-width="0.8"/>'
        )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, *, stroke: str = "currentColor", opacity: float = 0.3
    ) -> None:
        self._shapes.append(
            f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" stroke="{stroke}" stroke-width="0.8" '
            f'stroke-opacity="{_n(opacity)}"/>'
        )

    def polyline(self, points: Sequence[tuple[float, float]], *, stroke: str, is_dashed: bool = False) -> None:
        dashes = ' stroke-dasharray="5 3"' if is_dashed else ""
        places = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._shapes.append(f'<polyline points="{places}" fill="none" stroke="{stroke}" stroke-width="1.6"{dashes}/>')

    def dot(self, x: float, y: float, *, fill: str) -> None:
        self._shapes.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="1.8" fill="{fill}" fill-opacity="0.6"/>')

    def text(
        self,
        x: float,
        y: float,
        value: str,
        *,
        anchor: Anchor = "start",
        fill: str = "currentColor",
        size: float = FONT_SIZE,
        is_bold: bool = False,
        width: float | None = None,
    ) -> None:
        """Write *value* with its baseline at *y*; with *width*, cut it to about that width."""
        shown = visible(value)
        if width is not None and len(shown) * size * _LETTER > width:
            shown = shown[: max(int(width / size / _LETTER) - 1, 1)] + "…"
        weight = ' font-weight="bold"' if is_bold else ""
        self._shapes.append(
            f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" text-anchor="{anchor}" fill="{fill}"{weight}>'
            f"{escape(shown)}</text>"
        )

    def legend(self, x: float, y: float, entries: Sequence[tuple[str, str]], *, is_dashed_second: bool = False) -> None:
        """Write the names of the series, each after a sign in its colour."""
        for place, (name, colour) in enumerate(entries):
            if is_dashed_second:
                self.polyline([(x, y - 4), (x + 18, y - 4)], stroke=colour, is_dashed=place > 0)
            else:
                self.rectangle(x, y - 8, 10, 8, fill=colour)
            self.text(x + 24, y, name)
            x += 48 + len(name) * FONT_SIZE * _LETTER

    def picture(self, alt: str) -> Picture:
        """Return the SVG document; *alt* says in words what it shows."""
        shown = visible(alt)
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(self.width)} {_n(self.height)}" role="img" '
            f'aria-label="{escape(shown)}" font-family="Libertinus Serif" font-size="{FONT_SIZE}">\n'
            + "\n".join(self._shapes)
            + "\n</svg>"
        )
        return Picture(svg=svg, alt=shown)


def _n(value: float) -> str:
    """Return a coordinate with at most two decimals, the same on every machine."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"
