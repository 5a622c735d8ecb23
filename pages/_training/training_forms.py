"""Forms of the Training page: start, new recipe, new schedule; typed from the estimators' parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.entities import Actor, Job, JobStatus, Recipe, Task, Trigger
from core.escaping import visible
from core.features.admin.sign_in import is_provider_enabled
from core.features.data.browse import list_tables, show_version, table_history
from core.features.jobs.schedules import save_trigger
from core.features.stores import Stores
from core.features.training.recipe_projects import project_parameters
from core.features.training.recipes import save_recipe
from core.features.training.train import submit_training
from core.learning.estimators import ESTIMATORS, Parameter, estimators_for
from core.learning.external_training import is_project
from core.learning.projects.declaration import ProjectParameter
from pages._ui import escaping, jobs, links, messages, pickers

_VERSIONS = 200


def start(stores: Stores, actor: Actor, recipes: Sequence[Recipe]) -> Job | None:
    """Recipe, table, version and parameters; returns the job once it is submitted."""
    left, middle, right = st.columns([3, 3, 4])
    words = {recipe.name: recipe.name for recipe in recipes}
    name = pickers.choose("Recipe", list(words), "training_recipe", words=words, at=left)
    recipe = next(one for one in recipes if one.name == name)
    tables = [table.name for table in list_tables(stores, actor)]
    if not tables:
        st.info("There is no table to train on. Ingest a file on the page **Tables** first.")
        return None
    own = tables.index(recipe.table) if recipe.table in tables else 0
    # Where another recipe is chosen, its own table, not the one of the recipe before.
    table = pickers.choose("Table", tables, "training_table", at=middle, index=own, of=recipe.name)
    if table is None:
        return None
    version = pickers.any_version(
        lambda most: table_history(stores, actor, table, limit=most), "training_version", most=_VERSIONS, at=right
    )
    st.caption(
        messages.plain(f"{recipe.description} Predicts {recipe.target} as the model {recipe.model}".strip())
        + f" with {messages.plain(_title(recipe))}; "
        + (
            "what is kept for testing is the project's own affair."
            if is_project(recipe.estimator)
            else f"{recipe.test_fraction:.0%} of the rows are kept for testing."
        )
    )
    offered = project_parameters(stores, actor, recipe)
    with st.form("training_start"):
        key = f"training_{recipe.name}"
        if is_project(recipe.estimator):
            params = _project_parameters(offered, key=key)
        else:
            params = _parameters(recipe.estimator, recipe.params, key=key)
        reason = st.text_input("Why", placeholder="for the audit log", max_chars=500)
        if st.form_submit_button("Train", type="primary", icon=":material/play_arrow:"):
            return submit_training(
                stores, actor, recipe=recipe.name, table=table, version=version, params=params, reason=reason or ""
            )
    return None


def new_recipe(stores: Stores, actor: Actor) -> None:
    """Table, target, features and estimator; the choices come from the table's own columns."""
    tables = [table.name for table in list_tables(stores, actor)]
    if not tables:
        st.info("There is no table yet. Ingest a file on the page **Tables** first.")
        return
    left, middle, right = st.columns(3)
    table = left.selectbox("Table", tables, format_func=visible, key="training_new_table")
    tasks = list(Task)
    task = middle.selectbox("Task", tasks, format_func=lambda one: one.value, key="training_new_task")
    kinds = {one.name: one.title for one in estimators_for(task)}
    names = list(kinds)
    estimator = right.selectbox(
        "Estimator", names, format_func=lambda one: kinds[one], key=f"training_new_{task.value}"
    )
    columns = [field.name for field in show_version(stores, actor, table).snapshot.schema]
    with st.form("training_recipe_form"):
        name = st.text_input("Name", max_chars=64, help="Letters, digits, _ and -; the model gets this name.")
        target = st.selectbox("Target", columns, format_func=visible, index=len(columns) - 1 if columns else None)
        features = st.multiselect("Features", columns, format_func=visible, help="Empty: every column but the target.")
        fraction = st.slider("Kept for testing", 0.05, 0.9, 0.3, 0.05)
        seed = st.number_input("Seed", 0, 2**32 - 1, 0, help="The same seed and rows give the same split.")
        params = _parameters(estimator, {}, key=f"training_new_{estimator}")
        description = st.text_input("Description", max_chars=500)
        reason = st.text_input("Why", placeholder="for the audit log", max_chars=500)
        if st.form_submit_button("Save the recipe", type="primary", icon=":material/save:"):
            recipe = Recipe(
                name=(name or "").strip(),
                model=(name or "").strip(),
                task=task,
                table=table,
                target=target or "",
                estimator=estimator,
                features=tuple(features),
                params=params,
                test_fraction=fraction,
                seed=int(seed),
                description=description or "",
            )
            save_recipe(stores, actor, recipe, reason=reason or "")
            st.success(f"Saved; choose {messages.plain(recipe.name)} under Start.", icon=":material/check:")


def new_schedule(stores: Stores, actor: Actor, recipes: Sequence[Recipe]) -> None:
    """By a cron line, or on new data."""
    with st.form("training_schedule"):
        name = st.selectbox("Recipe", [recipe.name for recipe in recipes])
        when = st.radio("When", ["On a new data version", "By a cron line (UTC)"], horizontal=True)
        cron = st.text_input("Cron line", placeholder="30 2 * * 1", help="Minute, hour, day, month, weekday; in UTC.")
        token = ""
        if is_provider_enabled(stores):
            token = st.text_input(
                "Token that it acts by",
                type="password",
                max_chars=200,
                autocomplete="off",
                help="Of the role scientist; an admin issues it. The schedule ends with it, and only its id is kept.",
            )
        reason = st.text_input("Why", placeholder="for the audit log", max_chars=500)
        if st.form_submit_button("Schedule", type="primary", icon=":material/schedule:"):
            on_data = when == "On a new data version"
            save_trigger(
                stores,
                actor,
                recipe=name,
                cron=None if on_data else (cron or "").strip(),
                on_new_data=on_data,
                token=token or "",
                reason=reason or "",
            )
            st.rerun()


def schedules_table(triggers: Sequence[Trigger]) -> None:
    """What fires when, and when it last did."""
    rows = [
        {
            "Recipe": trigger.arguments.get("recipe"),
            "When": f"cron {trigger.cron} (UTC)" if trigger.cron else f"new rows in {trigger.table}",
            "By": trigger.actor,
            "State": "● on" if trigger.enabled else "✕ turned off; see the audit log",
            "Next": trigger.next_due,
            "Last": trigger.last_fired,
        }
        for trigger in triggers
    ]
    times = {name: messages.time_column(name) for name in ("Next", "Last")}
    escaping.table(pd.DataFrame(rows), style=messages.coloured, placeholder="–", column_config=times, alt="Schedules")


def schedule_words(trigger: Trigger) -> str:
    """One schedule in a list."""
    when = f"cron {trigger.cron}" if trigger.cron else f"new rows in {trigger.table}"
    return f"{trigger.arguments.get('recipe')}: {when}"


def recipes_table(recipes: Sequence[Recipe]) -> None:
    """What can be trained."""
    rows = [
        {
            "Recipe": recipe.name,
            "Model": recipe.model,
            "Task": recipe.task.value,
            "Table": recipe.table,
            "Target": recipe.target,
            "Estimator": _title(recipe),
            "Description": recipe.description,
        }
        for recipe in recipes
    ]
    escaping.table(pd.DataFrame(rows), alt="Recipes")


def job_words(job: Job) -> str:
    """One training in a list."""
    what = f"{job.arguments.get('recipe')} on {job.arguments.get('table')}@{job.arguments.get('version')}"
    return jobs.words(what, job)


def outcome(job: Job) -> None:
    """Where to go from a training that is over."""
    result = dict(job.result)
    if job.status is not JobStatus.FINISHED or not result.get("model"):
        return
    with st.container(horizontal=True):
        st.badge(f"{messages.plain(result['model'])}/{result['version']}", icon=":material/check:", color="green")
        links.link(
            "models", "Look at the model version", models_model=result["model"], models_version=str(result["version"])
        )
        links.link("runs", "Compare its run", runs=result["run_id"])


def _parameters(estimator: str, chosen: Any, *, key: str) -> dict[str, Any]:
    """One field per parameter, typed, with its range and the recipe's own value."""
    known = ESTIMATORS.get(estimator)
    if known is None:
        return dict(chosen)
    values = known.check(chosen)
    places = st.columns(3)
    return {
        parameter.name: _field(parameter, values[parameter.name], places[number % 3], f"{key}_{parameter.name}")
        for number, parameter in enumerate(known.parameters)
    }


def _project_parameters(offered: Sequence[ProjectParameter], *, key: str) -> dict[str, Any]:
    """One field per parameter of the project's entry point; what is left empty keeps the project's own default."""
    if not offered:
        st.caption("The project has no parameters of its own; the data version is handed to it.")
        return {}
    places, found = st.columns(3), {}
    for number, one in enumerate(offered):
        place, name = places[number % 3], f"{key}_{one.name}"
        value: Any
        if one.kind == "float":
            default = None if one.default is None else float(one.default)
            value = place.number_input(visible(one.name), value=default, format="%g", key=name)
        else:
            value = place.text_input(visible(one.name), one.default or "", max_chars=500, key=name)
        if value is not None and value != "":
            found[one.name] = value
    return found


def _field(parameter: Parameter, value: Any, place: Any, key: str) -> Any:
    if parameter.kind == "choice":
        options = list(parameter.choices)
        return place.selectbox(parameter.name, options, index=options.index(value), help=parameter.help, key=key)
    whole = parameter.kind == "int"
    kind = int if whole else float
    return place.number_input(
        parameter.name,
        min_value=None if parameter.low is None else kind(parameter.low),
        max_value=None if parameter.high is None else kind(parameter.high),
        value=kind(value),
        step=1 if whole else None,
        format="%d" if whole else "%g",
        help=f"{parameter.help}. Takes {parameter.takes}.",
        key=key,
    )


def _title(recipe: Recipe) -> str:
    known = ESTIMATORS.get(recipe.estimator)
    return known.title.lower() if known else recipe.estimator
