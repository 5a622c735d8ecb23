"""Compare runs: in a table and in charts, with the run in Production as the baseline."""

from __future__ import annotations

import streamlit as st

from core.access.permissions import Action
from core.errors import RunNotFound
from core.features.runs.compare import Comparison, compare_runs
from pages._runs import pictures, run_details, run_search, run_tables, run_views
from pages._ui import escaping, messages, pickers, session
from pages._ui.texts import t, tn, translated

PRODUCTION = "production"
# A table with a column per run is readable for this many runs.
MOST_COLUMNS = 50
# Curves of this many runs can be told apart.
MOST_DRAWN = 4

actor = session.require(Action.RUN_READ)
stores = session.stores()
moment = session.moment()


def compared(run_ids: list[str], baseline: str | None) -> Comparison:
    """Return the comparison. Runs of the address that were deleted in MLflow are reported and left out."""
    try:
        return compare_runs(stores, actor, run_ids, baseline, at=moment)
    except RunNotFound as error:
        missing = error.values["missing"]
        if moment is None:
            st.warning(t("These runs of the link are no longer in MLflow and are not shown:"))
        else:
            st.warning(t("These runs of the link had not started, or are no longer in MLflow, and are not shown:"))
        escaping.text(", ".join(missing))
        present = [run_id for run_id in run_ids if run_id not in missing]
        return compare_runs(stores, actor, present, None if baseline in missing else baseline, at=moment)


st.title(t("Compare runs"))
if moment is not None:
    st.caption(
        t(
            "Runs that had started by then; a run that ended later is shown as running. MLflow keeps no history: "
            "parameters, tags, filters and order are the present ones, and runs that were deleted since are missing."
        )
    )
with messages.stop_on_error():
    found = run_search.results(stores, actor, moment)
    run_ids = [run.run_id for run in found.runs]
    linked = run_views.linked_runs()
    named = [*run_ids, *linked, *filter(None, [st.query_params.get("runs_baseline")])]
    listed = compared([run_id for run_id in dict.fromkeys(named) if run_id != PRODUCTION], None)
    by_id = {run.run_id: run for run in listed.runs}
    here = [by_id[run_id] for run_id in run_ids if run_id in by_id]
    selected = run_views.selected_runs(here, listed.versions)
    if not (here or selected):
        st.stop()
    view = st.segmented_control(
        t("View"),
        run_views.VIEWS if moment is None else run_views.EARLIER_VIEWS,
        default=run_views.VIEWS[0],
        format_func=translated,
        required=True,
        wrap=True,
        key="runs_view",
        bind="query-params",
    )
    labels = {PRODUCTION: t("Run in Production")} | {run.run_id: run_tables.run_label(run) for run in listed.runs}
    baseline = pickers.choose(t("Baseline"), list(labels), "runs_baseline", labels=labels)
    shown = [run_id for run_id in selected or run_ids if run_id in by_id]
    if view == run_views.DIFFERENCES and len(shown) > MOST_COLUMNS:
        st.caption(t("The first {n} of {total} runs are compared in columns.", n=MOST_COLUMNS, total=len(shown)))
        shown = shown[:MOST_COLUMNS]
    comparison = compared(shown, None if baseline == PRODUCTION else baseline)
    escaping.text(
        tn("Comparing {n} selected run.", "Comparing {n} selected runs.", len(comparison.runs))
        if selected
        else t("Comparing all runs of this page. Select rows to compare only those runs.")
    )
    escaping.text(t("Baseline: {reason}.", reason=comparison.baseline_reason))
    if view == run_views.PICTURES:
        drawn = comparison.runs[:MOST_DRAWN]
        pictures.show_runs(stores, actor, {run_tables.header(run, comparison): run.run_id for run in drawn})
    elif view == run_views.DETAILS:
        run_details.details(stores, actor, comparison)
    else:
        run_views.chart(view or run_views.VIEWS[0], comparison)
