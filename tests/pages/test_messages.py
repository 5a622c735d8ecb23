"""Times and marks as every page tells them: in the viewer's zone with UTC at hand, in colour with mark and word."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from core.entities import JobStatus, RequestStatus, Role, Severity, Stage
from pages._audit import event_views
from pages._ui import messages

MOMENT = datetime(2026, 1, 1, 2, 30, 5, tzinfo=UTC)
WHITE, DARK = "#FFFFFF", "#0E1117"


@pytest.fixture(params=["America/Los_Angeles", "Asia/Tokyo", "UTC"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the viewer is: in California it is still the day before."""
    monkeypatch.setattr(messages, "viewer_zone", lambda: request.param)
    return str(request.param)


def test_a_time_is_told_in_the_viewers_zone_with_utc_beside_it(zone: str) -> None:
    assert (
        messages.local_time(MOMENT, seconds=True)
        == {
            "America/Los_Angeles": "2025-12-31 18:30:05 PST (01-01 02:30:05 UTC)",
            "Asia/Tokyo": "2026-01-01 11:30:05 JST (02:30:05 UTC)",
            "UTC": "2026-01-01 02:30:05 UTC",
        }[zone]
    )


def test_a_line_of_a_log_says_how_far_its_time_is_from_utc(zone: str) -> None:
    assert (
        messages.timestamp(MOMENT)
        == {
            "America/Los_Angeles": "2025-12-31 18:30:05-08:00",
            "Asia/Tokyo": "2026-01-01 11:30:05+09:00",
            "UTC": "2026-01-01 02:30:05+00:00",
        }[zone]
    )


def test_a_column_of_times_names_its_zone_and_each_cell_how_far_that_is_from_utc(zone: str) -> None:
    column = messages.time_column("created")
    assert zone in column["label"]
    assert column["type_config"]["timezone"] == zone
    # In Moment's language Z is the distance from UTC.
    assert column["type_config"]["format"].endswith(" Z") is (zone != "UTC")


def test_a_day_begins_where_the_viewer_is(zone: str) -> None:
    assert (
        event_views.day_start(date(2026, 1, 1)).astimezone(UTC).hour
        == {
            "America/Los_Angeles": 8,
            "Asia/Tokyo": 15,
            "UTC": 0,
        }[zone]
    )


@pytest.mark.parametrize(
    "value", [*Stage, *JobStatus, *RequestStatus, *Severity, *Role], ids=lambda one: f"{type(one).__name__}.{one.name}"
)
def test_what_has_a_mark_has_its_colour_in_a_table_too(value: Stage) -> None:
    rows = pd.DataFrame({"n": [1], "mark": [messages.label(value)], "name": [f"m/1 {messages.label(value)}"]})
    colours = inks(rows)
    assert colours.keys() == {(0, 1), (0, 2)}
    assert len(set(colours.values())) == 1


def test_words_without_a_mark_are_as_they_are() -> None:
    assert inks(pd.DataFrame({"text": ["Production", "a●b", "✕", None], "n": [1.5, 2.5, 3.5, None]})) == {}


@pytest.mark.parametrize("ground", [WHITE, DARK])
def test_every_ink_is_readable_on_light_and_on_dark(ground: str) -> None:
    every = pd.DataFrame({"mark": sorted({messages.label(one) for kind in (Stage, Severity, Role) for one in kind})})
    every = pd.concat([every, pd.DataFrame({"mark": [messages.label(JobStatus.RUNNING)]})], ignore_index=True)
    assert min(contrast(ink, ground) for ink in inks(every).values()) >= 4


def inks(rows: pd.DataFrame) -> dict[tuple[int, int], str]:
    """The colour of each cell that has one, by row and column."""
    styler = messages.coloured(rows)
    styler._compute()
    return {place: value for place, style in styler.ctx.items() for name, value in style if name == "color"}


def contrast(one: str, other: str) -> float:
    """Source: WCAG 2.2, relative luminance and contrast ratio."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
