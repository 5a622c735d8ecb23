"""Models that are not taken over yet: the notice, the list, and the form that accepts their state as found."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.access.permissions import Action
from core.entities import Actor
from core.escaping import visible
from core.features.stores import Stores
from core.features.takeover.accept_registry import submit_acceptance
from core.features.takeover.acceptances import UntakenModel
from pages._promotions import promotion_forms
from pages._promotions.single_press import SinglePressForm
from pages._ui import escaping, jobs, links, session
from pages._ui.texts import t, tn

_JOB = "promotions_accept"


def notice(untaken: Sequence[UntakenModel]) -> None:
    """Say on another page that models are not taken over yet, with a link to the form. Nothing where there are none."""
    if not untaken:
        return
    with st.container(border=True):
        st.markdown(f":material/inventory_2: {_headline(untaken)}")
        st.caption(_explanation())
        links.link("promotions", t("Take over"), promotions_tab=t("Differences"))


def draw(stores: Stores, actor: Actor, untaken: Sequence[UntakenModel]) -> None:
    """Show the models, and the form for managers and admins; a running or finished job first."""
    job_id = st.query_params.get(_JOB)
    if job_id:
        jobs.watch(stores, actor, job_id, key=_JOB)
    if not untaken:
        return
    st.subheader(t("Not taken over yet"))
    st.markdown(_headline(untaken))
    st.caption(_explanation())
    rows = [
        {
            t("Model"): model.model,
            t("Versions"): model.versions,
            t("In Production"): ", ".join(map(str, model.production)) or None,
            t("Aliases"): ", ".join(f"{alias} → {number}" for alias, number in sorted(model.aliases.items())) or None,
        }
        for model in sorted(untaken, key=lambda model: not model.production)
    ]
    escaping.table(
        rows,
        key="promotions_untaken",
        placeholder="–",
        height=min(36 * (len(rows) + 1) + 3, 330),
        alt=t("Models that are not taken over yet"),
    )
    if not session.may(actor, Action.REGISTRY_ACCEPT):
        st.caption(t("Managers and admins can accept the state as found."))
        return
    form = SinglePressForm("promotions_accept_form")
    with form:
        names = [model.model for model in untaken]
        models = st.multiselect(t("Models"), names, format_func=visible, placeholder=t("all models in the list"))
        all_files = st.checkbox(
            t("Hash the files of every version"),
            help=t(
                "Without it, files of versions in Production and Staging are hashed now, and those of other versions "
                "by the next checks of the worker."
            ),
        )
        reason = promotion_forms.reason_field(t("Reason for accepting the state as found"))
        is_pressed = form.button(t("Accept the state as found"), type="primary", icon=":material/inventory:")
    if is_pressed:
        with form.answer(t("Starting the job that accepts the state")):
            job = submit_acceptance(stores, actor, models=models, reason=reason, all_files=all_files)
            st.query_params[_JOB] = job.id


def _headline(untaken: Sequence[UntakenModel]) -> str:
    versions = tn("{n} version", "{n} versions", sum(model.versions for model in untaken))
    return tn(
        "This registry has **{n} model with {versions}** that ModelLedger has not taken over yet.",
        "This registry has **{n} models with {versions}** that ModelLedger has not taken over yet.",
        len(untaken),
        versions=versions,
    )


def _explanation() -> str:
    return t(
        "ModelLedger did not see how their stages, aliases and files came about, so it does not report them. A manager "
        "or an admin accepts the present state with a reason; later changes are findings. Accept before the first "
        "promotion, so that a rollback can return to the version in Production now."
    )
