"""The command line in this process: exit code, stdout, stderr. The sample workspace is built once and copied."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.cli import main
from core.commands import options


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Answer]


@pytest.fixture
def command(home: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs one command on `home`."""
    options.get_stores.cache_clear()

    def run(*arguments: str) -> Answer:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    yield run
    options.get_stores.cache_clear()
