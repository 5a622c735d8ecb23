"""The sections of a dossier that hold pictures, in the order of reading: KPIs, stages, test rows."""

from __future__ import annotations

from core.features.evidence.collect import ModelEvidence, compare_kpis, compared
from core.features.evidence.drawings.kpi_bars import draw_kpis
from core.features.evidence.drawings.model_pictures import MOST_CLASSES, draw_model, has_many_classes
from core.features.evidence.drawings.stage_bars import draw_stages, production_periods
from core.features.evidence.section import Section, make_section
from core.texts import text


def pictures(evidence: ModelEvidence, language: str) -> tuple[Section, ...]:
    """Draw the evidence in *language*; the words within a picture cannot be translated afterwards."""
    return (_kpis(evidence, language), _stages(evidence, language), _test_rows(evidence, language))


def _kpis(evidence: ModelEvidence, language: str) -> Section:
    check = compared(evidence)
    rival = check.compared_with if check else None
    picture = draw_kpis(compare_kpis(evidence), own=str(evidence.key), rival=rival, language=language)
    return make_section(
        text("KPIs beside Production"),
        *([] if picture else [text("The version has no KPI that can be drawn.")]),
        pictures=[picture] if picture else [],
        is_annex=False,
    )


def _stages(evidence: ModelEvidence, language: str) -> Section:
    timeline = evidence.timeline
    picture = draw_stages(timeline, evidence.key.version, evidence.as_of, language) if timeline else None
    return make_section(
        text("Stages over time"),
        *([] if picture else [text("No version of the model ever had a stage, as far as it is known.")]),
        points=production_periods(timeline, evidence.as_of) if timeline else [],
        pictures=[picture] if picture else [],
        is_annex=False,
    )


def _test_rows(evidence: ModelEvidence, language: str) -> Section:
    check = compared(evidence)
    own, rival = evidence.pictures, evidence.rival_pictures
    notes = list(evidence.pictures_problems)
    if own is None and not notes:
        notes.append(text("The run logged no pictures of the model."))
    sides = [] if own is None else [(str(evidence.key), own)]
    if own is not None and rival is not None and check is not None and check.compared_with is not None:
        sides.append((check.compared_with, rival))
    if own is not None:
        notes.append(
            text("The training measured {rows} test rows of {version}.", rows=own.rows, version=str(evidence.key))
        )
    if len(sides) > 1 and rival is not None:
        notes.append(
            text(
                "Beside it stands {version}, measured on its own {rows} test rows.",
                version=sides[1][0],
                rows=rival.rows,
            )
        )
    if has_many_classes(own):
        notes.append(text("The confusion matrix has more than {most} classes and is not drawn.", most=MOST_CLASSES))
    return make_section(
        text("The model on its test rows"),
        *notes,
        pictures=draw_model(sides, language) if sides else [],
        is_annex=False,
    )
