"""Forms of the Training page: start a training, save a recipe, add a schedule. The estimators define the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.entities import Actor, Job, JobStatus, ModelVersionKey, Recipe, Task, Trigger
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
from core.texts import text
from pages._promotions import request_form
from pages._ui import escaping, jobs, links, messages, pickers
from pages._ui.texts import t, translated

_TASKS = {Task.CLASSIFICATION: text("classification"), Task.REGRESSION: text("regression")}
# A schedule starts a training when the table has a new version, or by a cron expression.
_ON_NEW_DATA, _BY_CRON = "data", "cron"
_WHEN = {_ON_NEW_DATA: text("On a new data version"), _BY_CRON: text("By a cron expression (UTC)")}
_VERSIONS = 200


def start(stores: Stores, actor: Actor, recipes: Sequence[Recipe]) -> Job | None:
    """Draw recipe, table, version and parameters; return the job when it is submitted."""
    left, middle, right = st.columns([3, 3, 4])
    name = pickers.choose(t("Recipe"), [recipe.name for recipe in recipes], "training_recipe", at=left)
    recipe = next(recipe for recipe in recipes if recipe.name == name)
    tables = [table.name for table in list_tables(stores, actor)]
    if not tables:
        st.info(t("No tables yet. Ingest a file on the page **Tables** first."))
        return None
    # A newly chosen recipe selects its own table instead of the table of the recipe before.
    own = tables.index(recipe.table) if recipe.table in tables else 0
    table = pickers.choose(t("Table"), tables, "training_table", at=middle, index=own, of=recipe.name)
    if table is None:
        return None
    version = pickers.any_version(
        lambda most: table_history(stores, actor, table, limit=most), "training_version", most=_VERSIONS, at=right
    )
    st.caption(_description(recipe))
    offered = project_parameters(stores, actor, recipe)
    with st.form("training_start"):
        key = f"training_{recipe.name}"
        if is_project(recipe.estimator):
            params = _project_parameters(offered, key=key)
        else:
            params = _parameters(recipe.estimator, recipe.params, key=key)
        reason = st.text_input(t("Reason"), placeholder=t("Kept in the audit log"), max_chars=500)
        if st.form_submit_button(t("Train"), type="primary", icon=":material/play_arrow:"):
            return submit_training(
                stores, actor, recipe=recipe.name, table=table, version=version, params=params, reason=reason or ""
            )
    return None


def new_recipe(stores: Stores, actor: Actor) -> None:
    """Draw the form for a recipe; the columns of the table are the choices."""
    tables = [table.name for table in list_tables(stores, actor)]
    if not tables:
        st.info(t("No tables yet. Ingest a file on the page **Tables** first."))
        return
    left, middle, right = st.columns(3)
    table = left.selectbox(t("Table"), tables, format_func=visible, key="training_new_table")
    tasks = [*Task]
    task = middle.selectbox(t("Task"), tasks, format_func=_task, key="training_new_task")
    titles = {estimator.name: estimator.title for estimator in estimators_for(task)}
    names = list(titles)
    estimator = right.selectbox(
        t("Estimator"),
        names,
        format_func=lambda name: translated(titles[name]),
        key=f"training_new_{task.value}",
    )
    columns = [field.name for field in show_version(stores, actor, table).snapshot.schema]
    with st.form("training_recipe_form"):
        name = st.text_input(t("Name"), max_chars=64, help=t("Letters, digits, _ and -. The model gets the same name."))
        target = st.selectbox(t("Target"), columns, format_func=visible, index=len(columns) - 1 if columns else None)
        features = st.multiselect(
            t("Features"), columns, format_func=visible, help=t("Without a choice: every column except the target.")
        )
        fraction = st.slider(t("Test fraction"), 0.05, 0.9, 0.3, 0.05)
        seed = st.number_input(t("Seed"), 0, 2**32 - 1, 0, help=t("The same seed and rows give the same split."))
        params = _parameters(estimator, {}, key=f"training_new_{estimator}")
        description = st.text_input(t("Description"), max_chars=500)
        reason = st.text_input(t("Reason"), placeholder=t("Kept in the audit log"), max_chars=500)
        if st.form_submit_button(t("Save recipe"), type="primary", icon=":material/save:"):
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
            st.success(
                t("The recipe {name} was saved. Choose it in the tab **Start**.", name=messages.plain(recipe.name)),
                icon=":material/check:",
            )


def new_schedule(stores: Stores, actor: Actor, recipes: Sequence[Recipe]) -> None:
    """Draw the form for a schedule: by a cron expression, or on new data."""
    with st.form("training_schedule"):
        name = st.selectbox(t("Recipe"), [recipe.name for recipe in recipes])
        when = st.radio(t("When"), list(_WHEN), format_func=lambda key: translated(_WHEN[key]), horizontal=True)
        cron = st.text_input(
            t("Cron expression"), placeholder="30 2 * * 1", help=t("Minute, hour, day, month, weekday, in UTC.")
        )
        token = ""
        if is_provider_enabled(stores):
            token = st.text_input(
                t("Token of the schedule"),
                type="password",
                max_chars=200,
                autocomplete="off",
                help=t(
                    "A token of the role scientist, which an admin issues. The schedule ends when the token expires. "
                    "Only the id of the token is kept."
                ),
            )
        reason = st.text_input(t("Reason"), placeholder=t("Kept in the audit log"), max_chars=500)
        if st.form_submit_button(t("Add schedule"), type="primary", icon=":material/schedule:"):
            on_new_data = when == _ON_NEW_DATA
            save_trigger(
                stores,
                actor,
                recipe=name,
                cron=None if on_new_data else (cron or "").strip(),
                on_new_data=on_new_data,
                token=token or "",
                reason=reason or "",
            )
            st.rerun()


def schedules_table(triggers: Sequence[Trigger]) -> None:
    """Show when each schedule starts a training, and when it last did."""
    next_due, last_fired = times = (t("Next"), t("Last"))
    rows = [
        {
            t("Recipe"): trigger.arguments.get("recipe"),
            t("When"): t("cron {cron} (UTC)", cron=trigger.cron)
            if trigger.cron
            else t("new rows in {table}", table=trigger.table),
            t("By"): trigger.actor,
            t("State"): t("● on") if trigger.enabled else t("✕ turned off; the audit log has the reason"),
            next_due: trigger.next_due,
            last_fired: trigger.last_fired,
        }
        for trigger in triggers
    ]
    escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        placeholder="–",
        column_config={name: messages.time_column(name) for name in times},
        alt=t("Schedules"),
    )


def schedule_label(trigger: Trigger) -> str:
    """Return one line for a list of schedules."""
    recipe = trigger.arguments.get("recipe")
    if trigger.cron:
        return t("{recipe}: cron {cron}", recipe=recipe, cron=trigger.cron)
    return t("{recipe}: new rows in {table}", recipe=recipe, table=trigger.table)


def recipes_table(recipes: Sequence[Recipe]) -> None:
    """Show one line per recipe."""
    rows = [
        {
            t("Recipe"): recipe.name,
            t("Model"): recipe.model,
            t("Task"): _task(recipe.task),
            t("Table"): recipe.table,
            t("Target"): recipe.target,
            t("Estimator"): _title(recipe),
            t("Description"): recipe.description,
        }
        for recipe in recipes
    ]
    escaping.table(pd.DataFrame(rows), alt=t("Recipes"))


def job_label(job: Job) -> str:
    """Return one line for a list of trainings."""
    data = f"{job.arguments.get('table')}@{job.arguments.get('version')}"
    return jobs.label(t("{recipe} on {data}", recipe=job.arguments.get("recipe"), data=data), job)


def next_steps(stores: Stores, actor: Actor, job: Job) -> None:
    """Show the model version that a finished training made, with links to it, its run and its promotion."""
    result = dict(job.result)
    if job.status is not JobStatus.FINISHED or not result.get("model"):
        return
    version = str(result["version"])
    with st.container(horizontal=True):
        st.badge(f"{messages.plain(result['model'])}/{version}", icon=":material/check:", color="green")
        links.link("models", t("Show model version"), models_model=result["model"], models_version=version)
        links.link("runs", t("Compare run"), runs=result["run_id"])
        request_form.link(stores, actor, ModelVersionKey(model=result["model"], version=int(version)))


def _description(recipe: Recipe) -> str:
    """Return what the recipe does, in Markdown."""
    values = {
        "target": messages.plain(recipe.target),
        "model": messages.plain(recipe.model),
        "estimator": messages.plain(_title(recipe)),
    }
    if is_project(recipe.estimator):
        sentence = t("Trains the model {model} to predict {target} with {estimator}, which splits the rows.", **values)
    else:
        sentence = t(
            "Trains the model {model} to predict {target} with {estimator}. Test fraction: {fraction:.0%} of the rows.",
            fraction=recipe.test_fraction,
            **values,
        )
    return f"{messages.plain(recipe.description)} {sentence}".strip()


def _parameters(estimator: str, chosen: Any, *, key: str) -> dict[str, Any]:
    """Draw one typed field per parameter, with its range and the recipe's value."""
    known = ESTIMATORS.get(estimator)
    if known is None:
        return dict(chosen)
    values = known.check(chosen)
    columns = st.columns(3)
    return {
        parameter.name: _field(parameter, values[parameter.name], columns[number % 3], f"{key}_{parameter.name}")
        for number, parameter in enumerate(known.parameters)
    }


def _project_parameters(offered: Sequence[ProjectParameter], *, key: str) -> dict[str, Any]:
    """Draw one field per parameter of the project's entry point. An empty field keeps the project's default."""
    if not offered:
        st.caption(t("The project has no parameters. It receives the data version."))
        return {}
    columns, values = st.columns(3), {}
    for number, parameter in enumerate(offered):
        column, name = columns[number % 3], f"{key}_{parameter.name}"
        value: Any
        if parameter.kind == "float":
            default = None if parameter.default is None else float(parameter.default)
            value = column.number_input(visible(parameter.name), value=default, format="%g", key=name)
        else:
            value = column.text_input(visible(parameter.name), parameter.default or "", max_chars=500, key=name)
        if value is not None and value != "":
            values[parameter.name] = value
    return values


def _field(parameter: Parameter, value: Any, column: Any, key: str) -> Any:
    explanation = translated(parameter.help)
    if parameter.kind == "choice":
        options = list(parameter.choices)
        return column.selectbox(parameter.name, options, index=options.index(value), help=explanation, key=key)
    is_whole = parameter.kind == "int"
    kind = int if is_whole else float
    return column.number_input(
        parameter.name,
        min_value=None if parameter.low is None else kind(parameter.low),
        max_value=None if parameter.high is None else kind(parameter.high),
        value=kind(value),
        step=1 if is_whole else None,
        format="%d" if is_whole else "%g",
        help=t("{explanation}. Valid values: {values}.", explanation=explanation, values=translated(parameter.takes)),
        key=key,
    )


def _task(task: Task) -> str:
    return translated(_TASKS[task])


def _title(recipe: Recipe) -> str:
    known = ESTIMATORS.get(recipe.estimator)
    return translated(known.title).lower() if known else recipe.estimator
