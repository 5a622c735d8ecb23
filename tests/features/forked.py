"""Processes of a test's own, forked from one that has imported everything: the imports take seconds, once."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

# Only imported there, nothing is opened: what deltalake or a database driver holds open does not survive a fork.
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.features.preloaded"])
# A child runs its parent's __main__ once more, as whose an AppTest leaves the page that it ran.
_MAIN = sys.modules["__main__"]


@dataclass(frozen=True, kw_only=True)
class Child:
    """A running process."""

    process: BaseProcess
    errors: Path

    def wait(self, timeout_s: float = 240.0) -> int:
        """Its exit code; minus the signal's number where it was killed."""
        self.process.join(timeout_s)
        assert self.process.exitcode is not None, "it does not end"
        return self.process.exitcode

    @property
    def error(self) -> str:
        """The traceback that it ended with."""
        return self.errors.read_text()


def start(work: Callable[..., Any], *arguments: Any) -> Child:
    """Calls *work* in a process of its own, in this process's environment as it is now."""
    handle, name = tempfile.mkstemp(prefix="modelledger-child-")
    os.close(handle)
    process = context.Process(target=_run, args=(work, arguments, dict(os.environ), name), daemon=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "__main__", _MAIN)
        process.start()
    return Child(process=process, errors=Path(name))


def _run(work: Callable[..., Any], arguments: tuple[Any, ...], environment: Mapping[str, str], errors: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    try:
        work(*arguments)
    except BaseException:
        Path(errors).write_text(traceback.format_exc())
        raise
