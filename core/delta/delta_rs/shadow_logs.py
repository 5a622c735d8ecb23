"""Shadow logs: folders through which deltalake opens a local table without its checkpoints, from its commits alone."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from core.delta.log.log_files import COMMIT, LOG_FOLDER, commit_path


class ShadowLogs:
    """One folder of links per table, removed with this object.

    deltalake 1.6.6 refuses a version behind a damaged or missing checkpoint although every commit exists.
    """

    def __init__(self) -> None:
        self._folders: dict[str, Path] = {}

    def folder(self, root: str, version: int) -> str | None:
        """Return a folder with the table *root* and its commits alone.

        None if the table has no checkpoint, or if not all commits up to *version* exist.
        """
        table = Path(root).absolute()
        names = os.listdir(table / LOG_FOLDER)
        has_checkpoint = any("checkpoint" in name for name in names)
        if not has_checkpoint or not all((table / commit_path(number)).exists() for number in range(version, -1, -1)):
            return None
        if root not in self._folders:
            self._folders[root] = Path(tempfile.mkdtemp(prefix="modelledger-log-"))
            weakref.finalize(self, shutil.rmtree, self._folders[root], ignore_errors=True)
        shadow = self._folders[root]
        (shadow / LOG_FOLDER).mkdir(exist_ok=True)
        _link(table, (name for name in os.listdir(table) if name != LOG_FOLDER), shadow)
        _link(table / LOG_FOLDER, filter(COMMIT.match, names), shadow / LOG_FOLDER)
        return str(shadow)


def _link(folder: Path, names: Iterable[str], shadow: Path) -> None:
    for name in names:
        with suppress(FileExistsError):
            (shadow / name).symlink_to(folder / name)
