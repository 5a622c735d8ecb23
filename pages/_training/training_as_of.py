"""Training at an earlier moment: the jobs, schedules and recipes as they stood. Nothing to start."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.entities import Actor
from core.features.history.moment import Moment
from core.features.history.training_as_of import jobs_at, recipes_at, schedules_at
from core.features.stores import Stores
from pages._ui import escaping, jobs, messages
from pages._ui.texts import t

_MOST = 100


def draw(stores: Stores, actor: Actor, moment: Moment) -> None:
    """Show the newest jobs with their status then, and the schedules and recipes from the audit log."""
    st.subheader(t("Jobs"))
    draw_jobs(stores, actor, moment, kind="train", empty=t("No training job had been submitted by then."))
    st.subheader(t("Schedules"))
    schedules = schedules_at(stores, actor, moment)
    if schedules:
        _table(
            [
                {
                    t("Recipe"): schedule.recipe,
                    t("When"): t("cron {cron} (UTC)", cron=schedule.cron)
                    if schedule.cron
                    else t("new rows in {table}", table=schedule.table),
                    t("By"): schedule.by,
                    t("State"): t("● on")
                    if schedule.turned_off is None
                    else t("✕ off: {why}", why=schedule.turned_off),
                    t("Saved"): schedule.saved,
                    t("Event"): schedule.sequence,
                }
                for schedule in schedules
            ],
            alt=t("Schedules at that moment"),
        )
        st.caption(t("The log does not record when a schedule was due next or last started a training."))
    else:
        st.caption(t("There was no schedule."))
    st.subheader(t("Recipes"))
    recipes = recipes_at(stores, actor, moment)
    if recipes:
        _table(
            [
                {
                    t("Recipe"): recipe.name,
                    t("Model"): recipe.model,
                    t("Table"): recipe.table,
                    t("Target"): recipe.target,
                    t("Estimator"): recipe.estimator,
                    t("By"): recipe.by,
                    t("Saved"): recipe.saved,
                    t("Event"): recipe.sequence,
                }
                for recipe in recipes
            ],
            alt=t("Recipes at that moment"),
        )
    else:
        st.caption(t("Nobody had saved a recipe."))
    st.caption(t("The built-in recipes and recipe files that were edited by hand are not in the log."))


def draw_jobs(stores: Stores, actor: Actor, moment: Moment, *, kind: str, empty: str) -> None:
    """Show the newest jobs of a kind that were submitted by then, with their status at that moment."""
    listed = jobs_at(stores, actor, moment, kind=kind, limit=_MOST)
    if not listed:
        st.caption(empty)
        return
    jobs.table(listed, key=f"{kind}_jobs_as_of")
    if len(listed) == _MOST:
        st.caption(t("Only the newest {n} jobs are shown.", n=_MOST))
    st.caption(t("The progress of a job that was not over, and its earlier attempts, are not recorded over time."))


def _table(rows: list[dict[str, object]], *, alt: str) -> None:
    saved = messages.time_column(t("Saved"))
    escaping.table(pd.DataFrame(rows), style=messages.coloured, column_config={t("Saved"): saved}, alt=alt)
