"""A project's run: started, waited for and ended in a process of its own, on a pinned data version."""

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

_ROOT = Path(__file__).resolve().parents[3]
# Shorter than the worker waits for a job that it has asked to stop.
_PATIENCE_S = 6.0
_POLL_S = 0.5
_TAIL = 30


@dataclass(frozen=True, kw_only=True)
class ProjectData:
    """The data version that is handed to the project."""

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
    tell: Callable[[str], None] = lambda line: None,
    checkpoint: Callable[[], None] = lambda: None,
) -> str:
    """Runs *project* in the MLflow run *run_id*, waits for its end and returns the run in which it logged.

    That is another one where the backend is not local: MLflow makes it then. Nothing that the project does or imports
    touches this process; whatever *checkpoint* raises (cancelled) ends all of its processes. Each line that it writes
    goes to *tell*.
    Raises TrainingFailed with the project's own last error.
    """
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        answer = Path(folder) / "run_id"
        process = subprocess.Popen(
            [sys.executable, "-m", "core.learning.projects.project_process", str(answer)],
            cwd=_ROOT,
            env=_environment(tracking_uri, run_id, data),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            tail = _follow(process, _order(project, run_id, tracking_uri, data), tell, checkpoint)
            code = process.wait()
        finally:
            _end(process)
        if code != 0:
            raise TrainingFailed(
                f"The project {project.uri} failed: {_reason(tail)}", project=project.uri, exit_code=code
            )
        return answer.read_text(encoding="utf-8")


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


def _order(project: Project, run_id: str, tracking_uri: str, data: ProjectData) -> dict[str, object]:
    """What mlflow.projects.run is called with."""
    from mlflow import MlflowClient

    experiment = MlflowClient(tracking_uri=tracking_uri).get_run(run_id).info.experiment_id
    return {
        "uri": project.uri,
        "entry_point": project.entry_point,
        "version": project.version,
        "parameters": project.given(data.parameters),
        "experiment_id": experiment,
        "backend": project.backend,
        "backend_config": project.config(),
        "run_id": run_id,
        # The project's packages are this environment's: building one per run needs conda or virtualenv and minutes.
        "env_manager": "local" if project.backend == "local" else None,
    }


def _follow(
    process: subprocess.Popen[str],
    order: dict[str, object],
    tell: Callable[[str], None],
    checkpoint: Callable[[], None],
) -> list[str]:
    """The last lines that were written."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it ended before it was asked anything; its lines say why
        process.stdin.write(json.dumps(order))
        process.stdin.close()
    lines: SimpleQueue[str | None] = SimpleQueue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    tail: list[str] = []
    while True:
        try:
            line = lines.get(timeout=_POLL_S)
        except Empty:
            checkpoint()
            continue
        if line is None:
            return tail
        tail = [*tail[-_TAIL:], line]
        tell(line)
        checkpoint()


def _environment(tracking_uri: str, run_id: str, data: ProjectData) -> dict[str, str]:
    """Our environment without our own settings (the database's password among them), and the data version."""
    # What keeps this process from running a model's code is not for the team's own code.
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
    """Ends the process and what it started: first asked, then made to.

    They are no process group of their own: a worker that kills this process by its group ends them too.
    """
    try:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.terminate()
    _, alive = psutil.wait_procs(family, timeout=_PATIENCE_S)
    for one in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _reason(tail: list[str]) -> str:
    """The project's own error: the last line of a traceback before MLflow says that it failed."""
    for line in reversed(tail):
        text = line.strip()
        if text and "INFO mlflow" not in text and not text.startswith(("File ", "^", "~")):
            return text[:400]
    return "it ended without a reason."
