"""Training: a recipe on a pinned data version, jobs with their progress and log, recipes and schedules."""

from __future__ import annotations

import streamlit as st

from core.access.permissions import Action
from core.escaping import visible
from core.features.jobs.jobs import count_jobs
from core.features.jobs.schedules import delete_trigger, list_triggers
from core.features.training.recipes import list_recipes
from pages._training import training_forms
from pages._ui import jobs, messages, session

TABS = ("Start", "Jobs", "New recipe", "Schedules")

actor = session.require(Action.RUN_READ)
stores = session.stores()


def start() -> None:
    """The form, and below it the job that was started or asked for in the address."""
    with messages.telling():
        recipes = list_recipes(stores, actor)
        if session.may(actor, Action.RUN_TRAIN):
            job = training_forms.start(stores, actor, recipes)
            if job is not None:
                st.query_params["training_job"] = job.id
        else:
            st.info("You may watch trainings; a data scientist starts them.")
            training_forms.recipes_table(recipes)
    job_id = st.query_params.get("training_job")
    if job_id:
        st.subheader("The training")
        shown = jobs.watch(stores, actor, job_id, key="training")
        if shown is not None:
            training_forms.outcome(shown)


def past() -> None:
    """All trainings, newest first; one of them can be opened."""
    with messages.telling():
        total = count_jobs(stores, actor, kind="train")
        if not total:
            st.info("No training was started yet. A data scientist starts one under **Start**.")
            return
        chosen = jobs.past(stores, actor, total, kind="train", key="training_job", told=training_forms.job_words)
        if chosen:
            shown = jobs.watch(stores, actor, chosen, key="training_past")
            if shown is not None:
                training_forms.outcome(shown)


def schedules() -> None:
    """What retrains without a person, and a form for one more."""
    with messages.telling():
        found = list_triggers(stores, actor)
        if found:
            training_forms.schedules_table(found)
        else:
            st.info("Nothing is scheduled. A schedule retrains by a cron line, or when a table gets new rows.")
        if not session.may(actor, Action.TRIGGER_WRITE):
            return
        training_forms.new_schedule(stores, actor, list_recipes(stores, actor))
        if found:
            with st.form("training_unschedule", border=True):
                words = {trigger.id: training_forms.schedule_words(trigger) for trigger in found}
                chosen = st.selectbox("Delete a schedule", list(words), format_func=lambda one: visible(words[one]))
                if st.form_submit_button("Delete", icon=":material/delete:"):
                    delete_trigger(stores, actor, chosen)
                    st.rerun()


def new_recipe() -> None:
    """A recipe of one's own, on any registered table."""
    if not session.may(actor, Action.RECIPE_WRITE):
        st.info("A data scientist writes recipes.")
        return
    with messages.telling():
        training_forms.new_recipe(stores, actor)


st.title("Training")
places = st.tabs(TABS, key="training_tab", bind="query-params", on_change="rerun")
for place, draw in zip(places, (start, past, new_recipe, schedules), strict=True):
    if place.open:
        with place:
            draw()
