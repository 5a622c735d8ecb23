"""The process in which MLflow runs a project. The arguments of mlflow.projects.run come as JSON on stdin.

The process writes the id of the project's run to the file that its argument names. The last line of its output is the
reason of a failure. On SIGTERM MLflow cancels the work that it started on other machines.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import FrameType

from core.errors import first_line


def main(run_id_file: str) -> int:
    """Return 0 if the project succeeded, else 1. A failure that the project printed itself is not printed again."""
    signal.signal(signal.SIGTERM, _interrupt)
    arguments = json.load(sys.stdin)
    import mlflow.projects
    from mlflow.exceptions import MlflowException

    try:
        submitted = mlflow.projects.run(**arguments, synchronous=True)
    except KeyboardInterrupt:
        return 1
    except mlflow.projects.ExecutionException as error:
        if not str(error).startswith("Run (ID"):
            print(error, file=sys.stderr)
        return 1
    except MlflowException as error:
        print(first_line(error), file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001 - the boundary of the process: Git, Docker and Kubernetes raise errors of their own
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    Path(run_id_file).write_text(submitted.run_id, encoding="utf-8")
    return 0


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
