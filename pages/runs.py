"""Compare runs: in a table and in charts, with the run in Production as the baseline."""

from __future__ import annotations

import hashlib

import streamlit as st

from core.access.permissions import Action
from core.delta.catalog import split_version
from core.entities import RunStatus
from core.errors import RunNotFound
from core.escaping import visible
from core.features.runs.compare import Comparison, compare_runs
from core.features.runs.runs import list_experiments, list_runs
from core.registry.runs import RunPage
from pages._runs import run_details, run_tables, run_views
from pages._ui import escaping, messages, pickers, session
from pages._ui.texts import t, tn, translated

PAGE_SIZE = 50
PRODUCTION = "production"

actor = session.require(Action.RUN_READ)
stores = session.stores()


def filtered() -> tuple[RunPage, str]:
    """Draw the filters; return the page of runs that match, and a short hash of the filters."""
    experiments = list_experiments(stores, actor)
    columns = st.columns([3, 3, 3, 2])
    name = columns[0].text_input(t("Name contains"), key="runs_text", bind="query-params")
    data = columns[1].text_input(
        t("Trained on"), placeholder="iris_training_data@2", key="runs_data", bind="query-params"
    )
    chosen = columns[2].multiselect(
        t("Experiment"), experiments, format_func=visible, key="runs_experiment", bind="query-params"
    )
    statuses = [status.value for status in RunStatus]
    status = columns[3].selectbox(
        t("Status"), statuses, index=None, placeholder=t("any"), key="runs_status", bind="query-params"
    )
    filters = _digest(name, data, sorted(chosen), status)
    # MLflow's token is a plain count: with other filters it would skip runs that match them.
    made_for, _, token = st.query_params.get("runs_after", "").partition(".")
    if made_for != filters:
        st.query_params.pop("runs_after", None)
        token = ""
    table, version = split_version(data) if data and data.strip() else (None, None)
    page = list_runs(
        stores,
        actor,
        experiments=chosen,
        name=name or "",
        table=table,
        version=version,
        status=RunStatus(status) if status else None,
        limit=PAGE_SIZE,
        token=token or None,
    )
    if not page.runs:
        has_filter = name or data or chosen or status or "runs_after" in st.query_params
        st.info(
            t("No runs match these filters. Remove a filter to see more runs.")
            if has_filter
            else t("No runs yet. Start a training on the page **Training**.")
        )
    return page, filters


def _digest(*filters: object) -> str:
    return hashlib.sha256(repr(filters).encode()).hexdigest()[:8]


def turn(page: RunPage, filters: str) -> None:
    """Draw the buttons that lead to the newest runs and to older runs."""
    newest, older, _ = st.columns([1, 1, 4])
    if newest.button(t("Newest"), icon=":material/first_page:", disabled="runs_after" not in st.query_params):
        del st.query_params["runs_after"]
        st.rerun()
    if older.button(t("Older"), icon=":material/chevron_right:", disabled=page.next_token is None):
        st.query_params["runs_after"] = f"{filters}.{page.next_token}"
        st.rerun()


def compared(run_ids: list[str], baseline: str | None) -> Comparison:
    """Return the comparison. Runs of the address that were deleted in MLflow are reported and left out."""
    try:
        return compare_runs(stores, actor, run_ids, baseline)
    except RunNotFound as error:
        missing = error.values["missing"]
        st.warning(t("These runs of the link are no longer in MLflow and are not shown:"))
        escaping.text(", ".join(missing))
        present = [run_id for run_id in run_ids if run_id not in missing]
        return compare_runs(stores, actor, present, None if baseline in missing else baseline)


st.title(t("Compare runs"))
with messages.stop_on_error():
    page, filters = filtered()
    run_ids = [run.run_id for run in page.runs]
    selected = run_views.selected_runs(page.runs, compare_runs(stores, actor, run_ids).versions) if run_ids else []
    turn(page, filters)
    if not (run_ids or selected):
        st.stop()
    view = st.segmented_control(
        t("View"),
        run_views.VIEWS,
        default=run_views.VIEWS[0],
        format_func=translated,
        required=True,
        wrap=True,
        key="runs_view",
        bind="query-params",
    )
    labels = {PRODUCTION: t("Run in Production")} | {run.run_id: run_tables.run_label(run) for run in page.runs}
    baseline = pickers.choose(t("Baseline"), list(labels), "runs_baseline", labels=labels)
    comparison = compared(selected or run_ids, None if baseline == PRODUCTION else baseline)
    escaping.text(
        tn("Comparing {n} selected run.", "Comparing {n} selected runs.", len(comparison.runs))
        if selected
        else t("Comparing all runs of this page. Select rows to compare only those runs.")
    )
    escaping.text(t("Baseline: {reason}.", reason=comparison.baseline_reason))
    if view == run_views.DETAILS:
        run_details.details(stores, actor, comparison.runs)
    else:
        run_views.chart(view or run_views.VIEWS[0], comparison)
