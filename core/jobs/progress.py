"""Progress: long work reports its state and learns that it must stop."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """The argument of every long-running function. A job's implementation writes to the job table."""

    def report(self, fraction: float, step: str) -> None:
        """Report the finished *fraction* (0 to 1) and the current *step* as a phrase for people."""

    def line(self, text: str) -> None:
        """Append one line to the job's log."""

    def remember(self, **facts: str) -> None:
        """Store what another process must clean up if this process dies: run_id (MLflow), operation (audit log)."""

    def checkpoint(self) -> None:
        """Call before anything that cannot be undone. Raises JobCancelled or LeaseLost."""


class Silent:
    """Progress of work that is not a job: nothing is reported."""

    def report(self, fraction: float, step: str) -> None:
        """Report nothing."""

    def line(self, text: str) -> None:
        """Report nothing."""

    def remember(self, **facts: str) -> None:
        """Store nothing; an action that dies is shown as unfinished."""

    def checkpoint(self) -> None:
        """Never stop."""
