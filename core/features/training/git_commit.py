"""The git commit of the running code, and whether the code was changed since that commit."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]


@cache
def code_tags() -> dict[str, str]:
    """Return MLflow's tags for the source of a run. Without git or a checkout they name no commit."""
    return {"mlflow.source.name": "modelledger", **(_commit_tags(_ROOT) if (_ROOT / ".git").exists() else {})}


def project_code_tags(project: str, version: str | None = None) -> dict[str, str]:
    """Return the tags for an MLflow Project, whose code does the training: a folder, or a Git address at *version*."""
    if "://" in project or project.startswith("git@"):
        is_commit = version is not None and re.fullmatch(r"[0-9a-f]{40}", version)
        revision = {"mlflow.source.git.commit" if is_commit else "mlflow.source.git.branch": version} if version else {}
        address = _without_password(project.partition("#")[0])
        return {"mlflow.source.name": _without_password(project), "mlflow.source.git.repoURL": address, **revision}
    folder = Path(project)
    tags = {"mlflow.source.name": project}
    # A folder inside another checkout that ignores it has no commit.
    return {**tags, **_commit_tags(folder)} if _git(folder, "ls-files", "MLproject") else tags


def _commit_tags(folder: Path) -> dict[str, str]:
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}
    tags = {"mlflow.source.git.commit": commit}
    branch = _git(folder, "rev-parse", "--abbrev-ref", "HEAD")
    remote = _git(folder, "config", "--get", "remote.origin.url")
    if branch and branch != "HEAD":
        tags["mlflow.source.git.branch"] = branch
    if remote and _without_password(remote) == remote:
        tags["mlflow.source.git.repoURL"] = remote
    dirty = bool(_git(folder, "status", "--porcelain", "--untracked-files=no", "--", "."))
    tags["modelledger.source.git.dirty"] = str(dirty).lower()
    return tags


def _without_password(url: str) -> str:
    """Return *url* without a user name and password."""
    scheme, separator, rest = url.partition("://")
    if not separator or "@" not in rest.partition("/")[0]:
        return url
    return f"{scheme}://{rest.partition('@')[2]}"


def _git(folder: Path, *arguments: str) -> str:
    program = shutil.which("git")
    if program is None:
        return ""
    try:
        process = subprocess.run(
            [program, "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except subprocess.TimeoutExpired:
        return ""
    return process.stdout.strip() if process.returncode == 0 else ""
