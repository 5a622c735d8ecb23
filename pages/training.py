"""Training: a recipe on a pinned data version, jobs with their progress and log, recipes and schedules."""

from __future__ import annotations

import streamlit as st

from core.access.permissions import Action
from core.escaping import visible
from core.features.jobs.jobs import count_jobs
from core.features.jobs.schedules import delete_trigger, list_triggers
from core.features.training.recipes import list_recipes
from pages._training import training_as_of, training_forms
from pages._ui import jobs, messages, session
from pages._ui.texts import t

actor = session.require(Action.RUN_READ)
stores = session.stores()


def start() -> None:
    """Draw the form, and below it the job that was just started or that the address names."""
    with messages.show_errors():
        recipes = list_recipes(stores, actor)
        if session.may(actor, Action.RUN_TRAIN):
            job = training_forms.start(stores, actor, recipes)
            if job is not None:
                st.query_params["training_job"] = job.id
        else:
            st.info(t("Only data scientists can start a training."))
            training_forms.recipes_table(recipes)
    job_id = st.query_params.get("training_job")
    if job_id:
        st.subheader(t("Training job"))
        job = jobs.watch(stores, actor, job_id, key="training")
        if job is not None:
            training_forms.next_steps(stores, actor, job)


def history() -> None:
    """Show all trainings, newest first, and one of them in full."""
    with messages.show_errors():
        total = count_jobs(stores, actor, kind="train")
        if not total:
            st.info(t("No trainings yet. A data scientist starts one in the tab **Start**."))
            return
        chosen = jobs.history(stores, actor, total, kind="train", key="training_job", label=training_forms.job_label)
        if chosen:
            job = jobs.watch(stores, actor, chosen, key="training_past")
            if job is not None:
                training_forms.next_steps(stores, actor, job)


def schedules() -> None:
    """Show the schedules, and the forms that add and delete one."""
    with messages.show_errors():
        triggers = list_triggers(stores, actor)
        if triggers:
            training_forms.schedules_table(triggers)
        else:
            st.info(t("No schedules yet. A schedule retrains by a cron expression, or when a table gets new rows."))
        if not session.may(actor, Action.TRIGGER_WRITE):
            return
        training_forms.new_schedule(stores, actor, list_recipes(stores, actor))
        if triggers:
            with st.form("training_unschedule", border=True):
                labels = {trigger.id: training_forms.schedule_label(trigger) for trigger in triggers}
                chosen = st.selectbox(
                    t("Schedule to delete"), list(labels), format_func=lambda trigger_id: visible(labels[trigger_id])
                )
                if st.form_submit_button(t("Delete schedule"), icon=":material/delete:"):
                    delete_trigger(stores, actor, chosen)
                    st.rerun()


def new_recipe() -> None:
    """Let a data scientist save a recipe on any registered table."""
    if not session.may(actor, Action.RECIPE_WRITE):
        st.info(t("Only data scientists can save recipes."))
        return
    with messages.show_errors():
        training_forms.new_recipe(stores, actor)


st.title(t("Training"))
if (moment := session.moment()) is not None:
    with messages.stop_on_error():
        training_as_of.draw(stores, actor, moment)
    st.stop()
tabs = st.tabs(
    (t("Start"), t("Jobs"), t("New recipe"), t("Schedules")), key="training_tab", bind="query-params", on_change="rerun"
)
for tab, draw in zip(tabs, (start, history, new_recipe, schedules), strict=True):
    if tab.open:
        with tab:
            draw()
