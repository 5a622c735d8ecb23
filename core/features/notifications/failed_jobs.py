"""Records failed jobs in the audit log, from which their notifications are sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.access.permissions import Action
from core.entities import Job, Outcome
from core.errors import CoreError
from core.features.jobs.run_job import ACTIONS
from core.features.stores import Stores
from core.features.training.recipes import find_recipe
from core.jobs.store import actor_of
from core.texts import text

_WINDOW = timedelta(hours=24)


class FailedJobs:
    """Records each failed job once, whichever way it failed: also a job whose process died and recorded nothing.

    The job table has no order in which its changes became visible, so the jobs of the last 24 hours are compared with
    the log; a job that this process has seen is not compared again.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._recorded: set[str] = set()

    def record(self) -> None:
        """Add an event for each failed job that has none."""
        failed = self._stores.jobs.failed_since(datetime.now(UTC) - _WINDOW)
        for job in failed:
            if job.id not in self._recorded:
                self._record(job)
        self._recorded = {job.id for job in failed}

    def _record(self, job: Job) -> None:
        subject, action = text("job {id}", id=job.id), ACTIONS.get(job.kind, Action.JOB_READ)
        with self._stores.audit.transaction() as connection:
            known = self._stores.audit.search(
                subject=subject, action=action.value, outcome=Outcome.FAILED.value, limit=1, within=connection
            )
            if known:
                return
            self._stores.audit.append_within(
                connection,
                actor_of(job),
                action.value,
                subject,
                Outcome.FAILED,
                reason=job.error or "",
                after={"job": job.id, "kind": job.kind, "model": _model_of(self._stores, job)},
            )


def _model_of(stores: Stores, job: Job) -> str:
    """Return the registered model that a job is about, or the name of its recipe where the recipe is gone."""
    recipe = job.arguments.get("recipe")
    if recipe is None:
        return str(job.arguments.get("model", ""))
    try:
        return find_recipe(stores, str(recipe)).model
    except CoreError:
        return str(recipe)
