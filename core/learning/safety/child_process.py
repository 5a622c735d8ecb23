"""Child processes that open files of other people: the environment that they get, and the reason that they report."""

from __future__ import annotations

import os
from pathlib import Path

# The folder that holds the package core; child processes start there.
ROOT = Path(__file__).resolve().parents[3]
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT")


def process_environment() -> dict[str, str]:
    """Return the environment of a child process: no settings, no credentials, one thread per library."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}


def last_line(output: str) -> str:
    """Return the last line of a process's *output*, where Python writes the reason of a failure."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:400] if lines else "the process ended without a reason."
