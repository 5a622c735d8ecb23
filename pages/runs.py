"""Runs: compared in a table and in pictures, with the run in Production as the baseline."""

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

PAGE_SIZE = 50
PRODUCTION = "production"

actor = session.require(Action.RUN_READ)
stores = session.stores()


def filtered() -> tuple[RunPage, str]:
    """The filters, the page of runs that they leave, and the filters in a few letters."""
    names = list_experiments(stores, actor)
    text, data, experiment, status = st.columns([3, 3, 3, 2])
    name = text.text_input("Name contains", key="runs_text", bind="query-params")
    on = data.text_input("Trained on", placeholder="iris_training_data@2", key="runs_data", bind="query-params")
    chosen = experiment.multiselect(
        "Experiment", names, format_func=visible, key="runs_experiment", bind="query-params"
    )
    words = [one.value for one in RunStatus]
    word = status.selectbox("Status", words, index=None, placeholder="any", key="runs_status", bind="query-params")
    filters = _digest(name, on, sorted(chosen), word)
    # MLflow's token is a bare count: behind other filters it would pass over runs that fit them.
    made_for, _, token = st.query_params.get("runs_after", "").partition(".")
    if made_for != filters:
        st.query_params.pop("runs_after", None)
        token = ""
    table, version = split_version(on) if on and on.strip() else (None, None)
    page = list_runs(
        stores,
        actor,
        experiments=chosen,
        name=name or "",
        table=table,
        version=version,
        status=RunStatus(word) if word else None,
        limit=PAGE_SIZE,
        token=token or None,
    )
    if not page.runs:
        asked = name or on or chosen or word or "runs_after" in st.query_params
        st.info("No run fits these filters." if asked else "No runs yet. Start one on the page Training.")
    return page, filters


def _digest(*filters: object) -> str:
    return hashlib.sha256(repr(filters).encode()).hexdigest()[:8]


def turn(page: RunPage, filters: str) -> None:
    """To the newest runs, or to those before the oldest shown."""
    newest, older, _ = st.columns([1, 1, 4])
    if newest.button("Newest", icon=":material/first_page:", disabled="runs_after" not in st.query_params):
        del st.query_params["runs_after"]
        st.rerun()
    if older.button("Older", icon=":material/chevron_right:", disabled=page.next_token is None):
        st.query_params["runs_after"] = f"{filters}.{page.next_token}"
        st.rerun()


def compared(run_ids: list[str], baseline: str | None) -> Comparison:
    """The comparison, without runs that are gone since the link was made; it says which."""
    try:
        return compare_runs(stores, actor, run_ids, baseline)
    except RunNotFound as error:
        gone = error.values["missing"]
        st.warning("A run of this link is not in MLflow any more and is left out:")
        escaping.text(", ".join(gone))
        left = [run_id for run_id in run_ids if run_id not in gone]
        return compare_runs(stores, actor, left, None if baseline in gone else baseline)


st.title("Compare runs")
with messages.stopping():
    page, filters = filtered()
    here = [run.run_id for run in page.runs]
    ticked = run_views.ticked_runs(page.runs, compare_runs(stores, actor, here).versions) if here else []
    turn(page, filters)
    if not (here or ticked):
        st.stop()
    view = st.segmented_control(
        "View",
        run_views.VIEWS,
        default=run_views.VIEWS[0],
        required=True,
        wrap=True,
        key="runs_view",
        bind="query-params",
    )
    words = {PRODUCTION: "the run in Production"} | {run.run_id: run_tables.short(run) for run in page.runs}
    baseline = pickers.choose("Baseline", list(words), "runs_baseline", words=words)
    found = compared(ticked or here, None if baseline == PRODUCTION else baseline)
    shown = "ticked runs" if ticked else "runs of this page; tick some to compare only those"
    escaping.text(f"Comparing {len(found.runs)} {shown}. Baseline: {found.baseline_reason}.")
    if view == run_views.DETAILS:
        run_details.details(stores, actor, found.runs)
    else:
        run_views.picture(view or run_views.VIEWS[0], found)
