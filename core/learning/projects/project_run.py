"""Run a project on a pinned data version, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

import psutil

from core.errors import TrainingFailed
from core.learning.projects.declaration import Project
from core.learning.safety.child_process import ROOT

# Shorter than the worker waits for a job that it asked to stop.
_TERMINATION_S = 6.0
_POLL_S = 0.5
_LAST_LINES = 30


@dataclass(frozen=True, kw_only=True)
class ProjectData:
    """The data version that the project gets. *parameters* are the project parameters that name it."""

    table: str
    uri: str
    version: int

    @property
    def parameters(self) -> dict[str, str]:
        return {"DataV": str(self.version), "table": self.table, "table_uri": self.uri}


def run_project(
    project: Project,
    *,
    run_id: str,
    tracking_uri: str,
    data: ProjectData,
    on_line: Callable[[str], None] = lambda line: None,
    checkpoint: Callable[[], None] = lambda: None,
) -> str:
    """Run *project* in the MLflow run *run_id*, wait for its end and return the id of the run in which it logged.

    If the backend is not local, MLflow makes another run and the project logs there. The project cannot affect this
    process. *on_line* is called with each line that the project prints. An error that *checkpoint* raises, such as
    JobCancelled, ends all processes of the project.

    Raises:
        TrainingFailed: the project failed; the message ends with its last error.
    """
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        run_id_file = Path(folder) / "run_id"
        process = subprocess.Popen(
            [sys.executable, "-m", "core.learning.projects.project_process", str(run_id_file)],
            cwd=ROOT,
            env=_environment(tracking_uri, run_id, data),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            last_lines = _follow(process, _arguments(project, run_id, tracking_uri, data), on_line, checkpoint)
            code = process.wait()
        finally:
            _end(process)
        if code != 0:
            raise TrainingFailed(
                "The project {project} failed: {reason}",
                project=project.uri,
                reason=_reason(last_lines),
                exit_code=code,
            )
        return run_id_file.read_text(encoding="utf-8")


def logged_model(tracking_uri: str, run_id: str) -> str | None:
    """Return the location of the model that the run logged (the last, if there are several), or None."""
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


def _arguments(project: Project, run_id: str, tracking_uri: str, data: ProjectData) -> dict[str, object]:
    """Return the arguments of mlflow.projects.run."""
    from mlflow import MlflowClient

    experiment = MlflowClient(tracking_uri=tracking_uri).get_run(run_id).info.experiment_id
    return {
        "uri": project.uri,
        "entry_point": project.entry_point,
        "version": project.version,
        "parameters": project.arguments(data.parameters),
        "experiment_id": experiment,
        "backend": project.backend,
        "backend_config": project.read_config(),
        "run_id": run_id,
        # The project uses the packages of this environment: a new one per run needs conda or virtualenv, and minutes.
        "env_manager": "local" if project.backend == "local" else None,
    }


def _follow(
    process: subprocess.Popen[str],
    arguments: dict[str, object],
    on_line: Callable[[str], None],
    checkpoint: Callable[[], None],
) -> list[str]:
    """Send *arguments* to *process*, follow its output to the end and return its last lines."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # the process ended at once; its output gives the reason
        process.stdin.write(json.dumps(arguments))
        process.stdin.close()
    lines: SimpleQueue[str | None] = SimpleQueue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    last_lines: list[str] = []
    while True:
        try:
            line = lines.get(timeout=_POLL_S)
        except Empty:
            checkpoint()
            continue
        if line is None:
            return last_lines
        last_lines = [*last_lines[-_LAST_LINES:], line]
        on_line(line)
        checkpoint()


def _environment(tracking_uri: str, run_id: str, data: ProjectData) -> dict[str, str]:
    """Return our environment with the data version and without our settings, such as the database's password."""
    # The settings that keep this process from running a model's code do not apply to the team's own code.
    ours = ("MODELLEDGER_", "MLFLOW_ALLOW_", "MLFLOW_HTTP_REQUEST_")
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
    with contextlib.suppress(ValueError):  # closed by _end
        for line in process.stdout:
            if line.strip():
                lines.put(line.rstrip())
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """End the process and its descendants: first by SIGTERM, then by SIGKILL.

    They stay in the process group of the worker, so that killing this group ends them too.
    """
    try:
        processes = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        processes = []
    for member in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.terminate()
    _, alive = psutil.wait_procs(processes, timeout=_TERMINATION_S)
    for member in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _reason(lines: list[str]) -> str:
    """Return the project's own error: the last line of its traceback, before MLflow reports the failure."""
    for line in map(str.strip, reversed(lines)):
        if line and "INFO mlflow" not in line and not line.startswith(("File ", "^", "~")):
            return line[:400]
    return "the project ended without a reason."
