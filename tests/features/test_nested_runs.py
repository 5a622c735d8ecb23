"""Nested runs in the search: folded where a run that is not nested matches too."""

from __future__ import annotations

from core.entities import Actor
from core.features.runs.search import RunQuery, search_runs
from core.features.stores import Stores


def test_nested_runs_are_folded_unless_only_they_match(stores: Stores, auditor: Actor) -> None:
    parent = stores.runs.start("tuning", "sweep", "ana", {})
    children = {stores.runs.start("tuning", f"trial {n}", "ana", {"mlflow.parentRunId": parent}) for n in range(3)}
    everything = search_runs(stores, auditor, RunQuery(experiments=("tuning",)))
    assert ({run.run_id for run in everything.runs}, everything.folded) == ({parent, *children}, 0)
    folded = search_runs(stores, auditor, RunQuery(experiments=("tuning",), nested=False))
    assert ([run.run_id for run in folded.runs], folded.total, folded.folded) == ([parent], 1, 3)
    trials = search_runs(stores, auditor, RunQuery(name="trial", nested=False))
    assert ({run.run_id for run in trials.runs}, trials.folded) == (children, 0)
