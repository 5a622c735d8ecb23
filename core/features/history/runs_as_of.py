"""Runs and registered versions as they were at an earlier moment, as far as MLflow and the log know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from core.entities import ModelVersion, Run, RunStatus
from core.features.history.as_of import StateAsOf
from core.features.history.moment import Moment


def run_at(run: Run, moment: Moment) -> Run:
    """Return *run* as it was at *moment*: a run that had not ended yet is running, without its later metrics.

    MLflow keeps no history of parameters and tags: they are the present ones.
    """
    if run.ended is not None and run.ended <= moment.time:
        return run
    return replace(run, status=RunStatus.RUNNING, ended=None, metrics={}, outputs=())


def versions_at(versions: Iterable[ModelVersion], state: StateAsOf) -> tuple[ModelVersion, ...]:
    """Return those of the registry's *versions* that existed, with the stage that each had then, without aliases."""
    known = ((version, state.version(version.key)) for version in versions)
    return tuple(replace(version, stage=then.stage, aliases=()) for version, then in known if then is not None)
