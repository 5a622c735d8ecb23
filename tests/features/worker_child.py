"""A worker for tests: `worker DATABASE LEASE_S` works, `child DATABASE LEASE_S JOB ATTEMPT` does one job."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.database.engine import Database
from core.entities import Actor, Job
from core.errors import JobCancelled, TrainingFailed
from core.jobs import worker
from core.jobs.progress import Progress
from core.jobs.store import JobStore
from core.jobs.worker import run_job, run_worker
from core.logs import configure_logs, get_logger


def work(actor: Actor, kind: str, arguments: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    """What a job of each kind does; `steps` writes a file per step, so that a test sees who worked when."""
    if kind == "steps":
        folder = Path(arguments["folder"])
        for step in range(int(arguments["steps"])):
            progress.checkpoint()
            (folder / f"{os.getpid()}-{step}").touch()
            progress.report(step / int(arguments["steps"]), f"step {step}")
            progress.remember(run_id=f"run-of-{os.getpid()}")
            time.sleep(0.1)
        return {"by": actor.name, "pid": os.getpid()}
    if kind == "print":
        print(arguments["text"], flush=True)
        print("and on stderr", file=sys.stderr, flush=True)
        progress.line("and by progress")
        return {}
    if kind == "log":
        get_logger("core.tests").info("fetching", url=arguments["text"], api_token="tell nobody")
        return {}
    if kind == "refuse":
        raise TrainingFailed("The target has one class; two are needed.")
    if kind == "cancelled elsewhere":
        raise JobCancelled("The Spark job was cancelled; nothing was written.")
    if kind == "fault":
        raise KeyError("a fault of ours")
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "crash":
        ctypes.string_at(0)
    if kind == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        progress.remember(deaf="yes")
        time.sleep(600)
    if kind == "family":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        progress.remember(child=str(child.pid))
        time.sleep(600)
    raise AssertionError(kind)


def main(role: str, database: str, lease_s: str, *rest: str) -> int:
    configure_logs(default_level="info")
    jobs = JobStore(Database(database), float(lease_s))
    if role == "child":
        run_job(jobs, rest[0], attempt=int(rest[1]), work=work)
        return 0

    def command(job_id: str, attempt: int) -> list[str]:
        return [sys.executable, "-m", __spec__.name, "child", database, lease_s, job_id, str(attempt)]

    def lost(job: Job) -> None:
        jobs.write_line(job.id, f"tidied up after {job.result.get('run_id')}")

    worker._POLL_S = 0.05
    return run_worker(jobs, command=command, between=lambda: None, on_lost=lost)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
