"""Which code is running: the git commit of this checkout, and whether it was changed since."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent.parent


@cache
def code_tags() -> dict[str, str]:
    """MLflow's tags for the source of a run. Without git or a checkout no commit is named, and none is made up."""
    tags = {"mlflow.source.name": "modelledger"}
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return tags
    tags["mlflow.source.git.commit"] = commit
    branch, remote = _git("rev-parse", "--abbrev-ref", "HEAD"), _git("config", "--get", "remote.origin.url")
    if branch and branch != "HEAD":
        tags["mlflow.source.git.branch"] = branch
    if remote and "@" not in remote.partition("://")[2].partition("/")[0]:  # A URL may hold a password.
        tags["mlflow.source.git.repoURL"] = remote
    tags["modelledger.source.git.dirty"] = str(bool(_git("status", "--porcelain", "--untracked-files=no"))).lower()
    return tags


def _git(*arguments: str) -> str:
    program = shutil.which("git")
    if program is None or not (_ROOT / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            [program, "-C", str(_ROOT), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
