"""The tab Roll back: the target of a rollback, its consequences, the checks with their results, and the form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.access.permissions import Action
from core.entities import Actor, Readability, Stage
from core.features.monitoring.decision_findings import findings_of_decision
from core.features.monitoring.findings import list_findings
from core.features.promotion.request_promotion import count_decisions
from core.features.promotion.roll_back import RollbackPreview, roll_back
from core.features.promotion.rollback_checks import list_rollback_targets
from core.features.runs.compare import Direction, direction
from core.features.runs.models import list_models
from core.features.stores import Stores
from pages._audit import finding_views
from pages._promotions import evidence_view, gate_views, promotion_forms, stages_table
from pages._promotions.single_press import SinglePressForm
from pages._runs.run_tables import number
from pages._ui import cached_readers, messages, pickers, session
from pages._ui.texts import t, tn

_MOST_KPIS = 6
_COLOURS: Mapping[Direction, Literal["green", "red", "gray"]] = {
    Direction.BETTER: "green",
    Direction.WORSE: "red",
    Direction.SAME: "gray",
    Direction.UNKNOWN: "gray",
}


def draw(stores: Stores, actor: Actor) -> None:
    """Choose a model and a version, see what a rollback would do and whether its checks pass, and roll back."""
    models = [model for model in list_models(stores, actor) if model.versions]
    models.sort(key=lambda model: model.production is None)
    left, right = st.columns(2)
    name = pickers.model(models, "promotions_back", at=left)
    model = next((model for model in models if model.name == name), None)
    if model is None:
        st.info(t("No model versions yet. Train one on the page **Training**."))
        return
    stages = {version.version: version.stage for version in model.versions}
    if not session.may(actor, Action.PROMOTION_ROLLBACK):
        stages_table.stages_table({str(version): stage.value for version, stage in stages.items()})
        st.info(t("Only managers can roll back."))
        return
    targets = list_rollback_targets(stores, actor, model.name)
    if not targets:
        stages_table.stages_table({str(version): stage.value for version, stage in stages.items()})
        st.info(t("No version to roll back to: no version was in Production before, and none is older."))
        return
    chosen = _pick_target(targets, model.name, right)
    decisions = count_decisions(stores, actor, model.name)
    with st.spinner(t("Checking that the model loads and its data is readable")):
        preview = cached_readers.rollback_preview(stores, actor, model.name, chosen, stages)
    with st.container():  # keeps the place of the form, see messages.show_notification
        _consequences(stores, actor, preview, stages)
        _checks(preview)
    _form(stores, actor, preview, decisions)


def _pick_target(targets: Mapping[int, bool], model: str, at: DeltaGenerator) -> int:
    """Return the chosen version, by default the first. *targets* says of each whether it was once approved."""
    labels = {
        str(version): t("{version} · approved for Production", version=version)
        if was_approved
        else t("{version} · never approved; another manager must review the rollback", version=version)
        for version, was_approved in targets.items()
    }
    chosen = pickers.choose(t("Roll back to"), list(labels), "promotions_back_to", labels=labels, at=at, of=model)
    return int(chosen or next(iter(labels)))


def _consequences(stores: Stores, actor: Actor, preview: RollbackPreview, stages: Mapping[int, Stage]) -> None:
    """Say what the rollback would change, on which data the target was trained, and what else to know before."""
    st.subheader(t("Roll back to {version}", version=messages.plain(preview.key)))
    lines = [
        t(
            "{version} moves from {before} to {after}.",
            version=messages.plain(f"{preview.key.model}/{version}"),
            before=messages.word(stages.get(version, Stage.NONE)),
            after=messages.word(stage),
        )
        for version, stage in preview.stages.items()
    ]
    candidate = (preview.check.evidence or {}).get("candidate", {})
    data = evidence_view.data_label(candidate.get("data"))
    if data is None:
        lines.append(t("The data that trained {version} is unknown.", version=messages.plain(preview.key)))
    else:
        verdict = Readability(candidate["data_verdict"]) if candidate["data_verdict"] else Readability.UNKNOWN
        lines.append(t("Trained on {data}: {verdict}.", data=messages.plain(data), verdict=messages.word(verdict)))
    if preview.review is None:
        lines.append(t("No other manager has to review the rollback."))
    else:
        reason = messages.plain(preview.review)
        lines.append(t("Another manager must review the rollback, because {reason}.", reason=reason))
    found = findings_of_decision(list_findings(stores, actor), preview, preview.check)
    if not found:
        lines.append(t("No open finding concerns this rollback."))
    else:
        lines.append(
            tn("{n} open finding concerns this rollback:", "{n} open findings concern this rollback:", len(found))
        )
    st.markdown("\n".join(f"- {line}" for line in lines))
    finding_views.summary([finding for _, finding in found])
    _kpis(preview)


def _kpis(preview: RollbackPreview) -> None:
    """Show the KPIs of the target, each with its difference from the version that it is compared with."""
    if not preview.kpis:
        st.caption(t("The run of {version} logged no KPI.", version=messages.plain(preview.key)))
        return
    with st.container(horizontal=True):
        for kpi in preview.kpis[:_MOST_KPIS]:
            st.metric(
                messages.plain(kpi.name),
                number(kpi.value),
                None if kpi.difference is None else f"{kpi.difference:+.3g}",
                delta_color=_COLOURS[direction(kpi.name, kpi.difference)],
                border=True,
                width=122,
            )
    st.caption(gate_views.compared_with(preview.check))
    if preview.kpi_caveat is not None:
        st.caption(messages.plain(preview.kpi_caveat))


def _checks(preview: RollbackPreview) -> None:
    gate_views.verdict(preview.check)
    gate_views.moment(preview.check, t("Checks of the rollback"))
    gate_views.gates_table(preview.check.gates or ())


def _form(stores: Stores, actor: Actor, preview: RollbackPreview, decisions: int) -> None:
    """Ask for the reason. The rollback goes to the target that the person saw, whatever has happened since."""
    model = preview.key.model
    form = SinglePressForm(f"promotions_back_{model}")
    with form:
        reason = promotion_forms.reason_field()
        is_pressed = form.button(
            t("Roll back"), type="primary", icon=":material/undo:", disabled=not preview.check.passed
        )
        if preview.check.passed:
            st.caption(t("The rollback runs these checks again."))
        else:
            st.caption(t("A rollback is not possible while a check fails."))
        version, seen_decisions = form.seen((preview.key.version, decisions))
    if is_pressed:
        with form.answer(t("Running the checks again and rolling back")):
            rollback = roll_back(stores, actor, model, to=version, reason=reason, seen_decisions=seen_decisions)
            form.notify(promotion_forms.rollback_message(stores, rollback))
