"""Drawings of a dossier: every value is in them, no text acts, and the same numbers give the same bytes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from core.entities import Stage, Task
from core.features.evidence.drawings.kpi_bars import draw_kpis
from core.features.evidence.drawings.model_pictures import draw_model, has_many_classes
from core.features.evidence.drawings.stage_bars import draw_stages, production_periods
from core.features.evidence.section import Picture
from core.features.history.as_of import StageDecision
from core.features.history.stage_periods import ModelTimeline, PeriodSource, StagePeriod, VersionTimeline
from core.learning.pictures.pictures import ConfusionMatrix, Curve, Histogram, Pictures

SVG = "{http://www.w3.org/2000/svg}"
EVIL = "<script>a & b</script>\u202e"
CLASSIFIED = Pictures(
    task=Task.CLASSIFICATION,
    rows=10,
    confusion=ConfusionMatrix(labels=("no", EVIL), counts=((4, 1), (0, 5))),
    roc=(Curve(label="no", x=(0.0, 0.0, 1.0), y=(0.0, 1.0, 1.0), summary=0.875),),
)
MEASURED = Pictures(
    task=Task.REGRESSION,
    rows=3,
    predicted_actual=Curve(label="residuals", x=(1.0, 2.0, 3.0), y=(1.5, 2.0, 2.5)),
    residuals=Histogram(edges=(-0.5, 0.0, 0.5), counts={"residuals": (1, 2)}),
)


def words(picture: Picture) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture.svg).iter(f"{SVG}text")]


def bars(picture: Picture) -> list[float]:
    """The widths of the bars, without the signs of the legend (10 wide)."""
    widths = [float(r.attrib["width"]) for r in ElementTree.fromstring(picture.svg).iter(f"{SVG}rect")]
    return [width for width in widths if width != 10.0]


def test_bars_of_shares_have_one_scale_and_others_their_own() -> None:
    rows = [("f1", 0.5, 1.0, "worse"), ("rmse", 30.0, 60.0, "better")]
    picture = draw_kpis(rows, own="a/2", rival="a/1", language="en")
    assert picture is not None
    widths = bars(picture)
    assert widths[0] * 2 == widths[1]
    assert widths[2] * 2 == widths[3]
    assert {"0.5", "1", "-0.5", "worse", "30", "60", "-30", "better", "a/2", "a/1"} <= set(words(picture))
    assert picture.alt == "Bars of the KPIs of a/2 and a/1: f1 0.5 / 1; rmse 30 / 60"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5])
def test_kpi_that_has_no_bar_is_left_to_the_table(value: float) -> None:
    assert draw_kpis([("r2", value, None, "")], own="a/2", rival=None, language="en") is None


def test_version_without_a_rival_stands_alone() -> None:
    picture = draw_kpis([("f1", 0.5, None, "nothing to compare with")], own="a/2", rival=None, language="en")
    assert picture is not None
    assert len(bars(picture)) == 1
    assert picture.alt == "Bars of the KPIs of a/2: f1 0.5"


def test_matrix_and_curves_show_all_numbers_of_both_sides() -> None:
    matrix, roc = draw_model([("a/2", CLASSIFIED), ("a/1", CLASSIFIED)], "en")
    assert [word for word in words(matrix) if word.isdigit()] == ["4", "1", "0", "5"] * 2
    assert "no → no 4" in matrix.alt
    assert "area under the curve: 0.875 / 0.875" in words(roc)
    assert roc.alt.endswith("area: no 0.875 / 0.875")


def test_labels_of_a_model_are_text() -> None:
    matrix, _ = draw_model([("a/2", CLASSIFIED)], "en")
    assert {element.tag for element in ElementTree.fromstring(matrix.svg).iter()} == {
        f"{SVG}svg",
        f"{SVG}rect",
        f"{SVG}text",
    }
    assert "\u202e" not in matrix.svg
    assert any(word.startswith("<script>") for word in words(matrix))


def test_regression_shows_a_dot_a_row_and_a_bar_a_bin() -> None:
    predicted, residuals = draw_model([("a/2", MEASURED)], "en")
    assert len(list(ElementTree.fromstring(predicted.svg).iter(f"{SVG}circle"))) == 3
    heights = [float(r.attrib["height"]) for r in ElementTree.fromstring(residuals.svg).iter(f"{SVG}rect")]
    assert heights[0] * 2 == heights[1]


def test_many_classes_are_not_drawn() -> None:
    labels = tuple(str(number) for number in range(13))
    matrix = ConfusionMatrix(labels=labels, counts=tuple(tuple(1 for _ in labels) for _ in labels))
    many = replace(CLASSIFIED, confusion=matrix, roc=())
    assert draw_model([("a/2", many)], "en") == []
    assert has_many_classes(many)


def test_same_numbers_give_the_same_bytes() -> None:
    assert draw_model([("a/2", MEASURED)], "en") == draw_model([("a/2", MEASURED)], "en")


DAYS = [datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day) for day in range(11)]
DECISION = StageDecision(sequence=1, time=DAYS[0], action="promotion.decide", decided_by=("max",), reason="")


def timeline(*, moment: datetime) -> ModelTimeline:
    """Version 1 was in Production from day 0 to 4 and is archived; version 2 follows; version 3 was never decided."""
    served = StagePeriod(
        stage=Stage.PRODUCTION, start=DAYS[0], end=DAYS[4], source=PeriodSource.DECISION, decision=DECISION
    )
    archived = StagePeriod(stage=Stage.ARCHIVED, start=DAYS[4], source=PeriodSource.DECISION, decision=DECISION)
    serves = StagePeriod(stage=Stage.PRODUCTION, start=DAYS[4], source=PeriodSource.ACCEPTED, decision=DECISION)
    # The registry only says that the version has the stage now, at the moment of reading.
    found = StagePeriod(stage=Stage.STAGING, start=moment, source=PeriodSource.REGISTRY, is_start_exact=False)
    periods = {3: (found,), 2: (serves,), 1: (served, archived)}
    versions = [
        VersionTimeline(model="a", version=number, registered=DAYS[0], periods=entries)
        for number, entries in periods.items()
    ]
    return ModelTimeline(model="a", moment=moment, versions=tuple(versions))


def test_stages_are_bars_as_long_as_they_lasted() -> None:
    picture = draw_stages(timeline(moment=DAYS[10]), 2, DAYS[8], "en")
    assert picture is not None
    widths = bars(picture)
    assert widths == [1.5, 275.0, 275.0, 275.0]  # staged just now; 4 of 8 days each, on a room of 550
    assert "2026-03-01 00:00 UTC" in words(picture)
    assert "2026-03-09 00:00 UTC" in words(picture)


def test_picture_of_stages_does_not_depend_on_when_it_is_drawn() -> None:
    first, second = (draw_stages(timeline(moment=moment), 2, DAYS[8], "en") for moment in (DAYS[9], DAYS[10]))
    assert first == second


def test_who_was_in_production_is_said_with_whose_decision_it_was() -> None:
    assert production_periods(timeline(moment=DAYS[10]), DAYS[8]) == [
        "a/1 was in Production from 2026-03-01 00:00:00 UTC until 2026-03-05 00:00:00 UTC, by decision of max.",
        "a/2 was in Production from 2026-03-05 00:00:00 UTC up to the state of this dossier: max accepted it as found.",
    ]


def test_model_without_a_stage_has_no_picture_of_stages() -> None:
    assert draw_stages(ModelTimeline(model="a", moment=DAYS[0], versions=()), 1, DAYS[0], "en") is None
