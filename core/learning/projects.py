"""MLflow Projects as recipes: a team's own training code, run by the backend it names, on a pinned data version."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import yaml

from core.errors import BadParameter, TrainingFailed

BACKENDS = ("local", "databricks", "kubernetes")
# Settings of the run itself; every other parameter of the recipe is one of the project's.
_OWN = ("backend", "backend_config", "entry_point", "version")
_PATIENCE_S = 15.0
_POLL_S = 5.0
_TAIL = 30


@dataclass(frozen=True, kw_only=True)
class ProjectData:
    """The data version that is handed to the project: as parameters, where it declares them, and as environment."""

    table: str
    uri: str
    version: int

    @property
    def parameters(self) -> dict[str, str]:
        return {"DataV": str(self.version), "table": self.table, "table_uri": self.uri}


def run_project(
    project: str,
    *,
    run_id: str,
    tracking_uri: str,
    data: ProjectData,
    params: Mapping[str, Any],
    tell: Callable[[str], None] = lambda line: None,
    checkpoint: Callable[[], None] = lambda: None,
) -> None:
    """Runs the project at *project* (a folder or a Git address) in the MLflow run *run_id* and waits for its end.

    It runs in a process group of its own, so that nothing it does or imports touches this process, and so that
    cancelling (whatever *checkpoint* raises) ends all of it. Each line that it writes goes to *tell*.
    Raises BadParameter (no such project, backend or parameter) and TrainingFailed with its own last error.
    """
    command = _command(project, run_id, data, dict(params))
    process = subprocess.Popen(
        command,
        env=_environment(tracking_uri, run_id, data),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    lines: SimpleQueue[str | None] = SimpleQueue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    tail: list[str] = []
    try:
        while True:
            try:
                line = lines.get(timeout=0.5)
            except Empty:
                checkpoint()
                continue
            if line is None:
                break
            tail = [*tail[-_TAIL:], line]
            tell(line)
            checkpoint()
        code = process.wait()
    finally:
        _end(process)
    if code != 0:
        raise TrainingFailed(f"The project {project} failed: {_reason(tail)}", project=project, exit_code=code)
    if params.get("backend") == "databricks":
        _await_end(project, run_id, tracking_uri, checkpoint)


def _await_end(project: str, run_id: str, tracking_uri: str, checkpoint: Callable[[], None]) -> None:
    """MLflow hands a run over to Databricks and returns at once: the run itself tells when it ended."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri)
    while (status := client.get_run(run_id).info.status) in ("RUNNING", "SCHEDULED"):
        checkpoint()
        time.sleep(_POLL_S)
    if status != "FINISHED":
        raise TrainingFailed(f"The project {project} ended as {status.lower()} on Databricks; see its job there.")


def logged_model(tracking_uri: str, run_id: str) -> str | None:
    """Where the model is that the run logged (the last one, if it logged several), or None."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri)
    run = client.get_run(run_id)
    outputs = getattr(getattr(run, "outputs", None), "model_outputs", None) or []
    if outputs:
        return str(client.get_logged_model(outputs[-1].model_id).artifact_location)
    for entry in client.list_artifacts(run_id):
        if entry.is_dir and any(
            Path(file.path).name == "MLmodel" for file in client.list_artifacts(run_id, entry.path)
        ):
            return f"{run.info.artifact_uri}/{entry.path}"
    return None


def _command(project: str, run_id: str, data: ProjectData, params: dict[str, Any]) -> list[str]:
    own = {name: str(params.pop(name)) for name in _OWN if name in params}
    backend = own.get("backend", "local")
    if backend not in BACKENDS:
        raise BadParameter(f"backend takes one of {', '.join(BACKENDS)}; {backend!r} is none.", name="backend")
    entry = own.get("entry_point", "main")
    declared = _declared(project, entry)
    handed = {name: value for name, value in data.parameters.items() if declared is None or name in declared}
    command = [sys.executable, "-m", "mlflow", "run", project, "--run-id", run_id, "--entry-point", entry]
    command += ["--backend", backend]
    if backend == "local":
        # The project's packages are this environment's: building one per run needs conda or virtualenv and minutes.
        command += ["--env-manager", "local"]
    if "backend_config" in own:
        command += ["--backend-config", own["backend_config"]]
    if "version" in own:
        command += ["--version", own["version"]]
    for name, value in {**params, **handed}.items():
        command += ["--param-list", f"{name}={value}"]
    return command


def _declared(project: str, entry: str) -> set[str] | None:
    """The parameters that the project's entry point declares; None for a project that is not on this disk."""
    folder = project.split("#")[0]
    if "://" in folder or folder.startswith("git@"):
        return None
    place = Path(project.replace("#", "/", 1)).expanduser()
    file = place / "MLproject"
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadParameter(f"{project} is no MLflow Project: its MLproject cannot be read ({error}).") from error
    entries = (found or {}).get("entry_points") or {}
    if entry not in entries:
        raise BadParameter(f"{project} has no entry point {entry!r}; it has {', '.join(entries) or 'none'}.")
    return set((entries[entry] or {}).get("parameters") or {})


def _environment(tracking_uri: str, run_id: str, data: ProjectData) -> dict[str, str]:
    """Our environment without our own settings (the database's password among them), and the data version."""
    # What keeps this process from running a model's code is not for the team's own code.
    ours = ("MODELLEDGER_", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "MLFLOW_HTTP_REQUEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {
        **kept,
        "MLFLOW_TRACKING_URI": tracking_uri,
        "MLFLOW_RUN_ID": run_id,
        "MODELLEDGER_TABLE": data.table,
        "MODELLEDGER_TABLE_URI": data.uri,
        "MODELLEDGER_DATA_VERSION": str(data.version),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONUNBUFFERED": "1",
    }


def _read(process: subprocess.Popen[str], lines: SimpleQueue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip():
            lines.put(line.rstrip())
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """Ends what is left of the process group: first asked, then made to."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_PATIENCE_S)
    if process.stdout is not None:
        process.stdout.close()


def _reason(tail: list[str]) -> str:
    """The project's own error: the last line of a traceback before MLflow says that it failed."""
    for line in reversed(tail):
        text = line.strip()
        if text and "mlflow.cli" not in text and "=== Run" not in text and not text.startswith(("File ", "^", "~")):
            return text[:400]
    return "it ended without a reason."
