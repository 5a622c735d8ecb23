"""Which code is running: the git commit of this checkout, and whether it was changed since."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]


@cache
def code_tags() -> dict[str, str]:
    """MLflow's tags for the source of a run. Without git or a checkout no commit is named, and none is made up."""
    return {"mlflow.source.name": "modelledger", **(_commit_tags(_ROOT) if (_ROOT / ".git").exists() else {})}


def project_code_tags(project: str, version: str | None = None) -> dict[str, str]:
    """The same for an MLflow Project (a folder, or a Git address at *version*): its code trains, not ours."""
    if "://" in project or project.startswith("git@"):
        is_commit = version is not None and re.fullmatch(r"[0-9a-f]{40}", version)
        named = {"mlflow.source.git.commit" if is_commit else "mlflow.source.git.branch": version} if version else {}
        address = _without_password(project.partition("#")[0])
        return {"mlflow.source.name": _without_password(project), "mlflow.source.git.repoURL": address, **named}
    place = Path(project)
    tags = {"mlflow.source.name": project}
    # A folder that another checkout only contains, and ignores, has no commit.
    return {**tags, **_commit_tags(place)} if _git(place, "ls-files", "MLproject") else tags


def _commit_tags(place: Path) -> dict[str, str]:
    commit = _git(place, "rev-parse", "HEAD")
    if not commit:
        return {}
    tags = {"mlflow.source.git.commit": commit}
    branch = _git(place, "rev-parse", "--abbrev-ref", "HEAD")
    remote = _git(place, "config", "--get", "remote.origin.url")
    if branch and branch != "HEAD":
        tags["mlflow.source.git.branch"] = branch
    if remote and _without_password(remote) == remote:
        tags["mlflow.source.git.repoURL"] = remote
    dirty = bool(_git(place, "status", "--porcelain", "--untracked-files=no", "--", "."))
    tags["modelledger.source.git.dirty"] = str(dirty).lower()
    return tags


def _without_password(url: str) -> str:
    """A URL may hold a password."""
    scheme, separator, rest = url.partition("://")
    if not separator or "@" not in rest.partition("/")[0]:
        return url
    return f"{scheme}://{rest.partition('@')[2]}"


def _git(place: Path, *arguments: str) -> str:
    program = shutil.which("git")
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, "-C", str(place), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
