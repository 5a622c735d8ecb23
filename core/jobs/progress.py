"""How long work tells where it is, and learns that it must stop."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Handed to every long verb. The job's own implementation writes to the job table."""

    def report(self, fraction: float, step: str) -> None:
        """*fraction* from 0 to 1, *step* in the words of a person."""

    def line(self, text: str) -> None:
        """Appends one line to the job's log."""

    def remember(self, **facts: str) -> None:
        """Keeps what must be tidied up if this process dies: run_id (an MLflow run), operation (of the audit log)."""

    def checkpoint(self) -> None:
        """Call before anything that cannot be undone. Raises JobCancelled or LeaseLost."""


class Silent:
    """For work that nobody watches: calls that come straight from a person's command."""

    def report(self, fraction: float, step: str) -> None:
        """Nothing to tell."""

    def line(self, text: str) -> None:
        """Nothing to tell."""

    def remember(self, **facts: str) -> None:
        """Nobody would tidy up; what was begun shows as unfinished."""

    def checkpoint(self) -> None:
        """Nobody can cancel it."""
