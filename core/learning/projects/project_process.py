"""The process in which MLflow runs a project: what mlflow.projects.run takes comes as JSON on stdin.

The id of the run in which the project logged goes to the file that is named; a failure is told in the last line. Asked
to stop, MLflow cancels what it has started elsewhere.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import FrameType

from core.errors import first_line


def main(answer: str) -> int:
    """0 where the project ended well; 1 otherwise. Nothing is told of a failure that the project told itself."""
    signal.signal(signal.SIGTERM, _interrupt)
    order = json.load(sys.stdin)
    import mlflow.projects
    from mlflow.exceptions import MlflowException

    try:
        submitted = mlflow.projects.run(**order, synchronous=True)
    except KeyboardInterrupt:
        return 1
    except mlflow.projects.ExecutionException as error:
        if not str(error).startswith("Run (ID"):
            print(error, file=sys.stderr)
        return 1
    except MlflowException as error:
        print(first_line(error), file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001 - the boundary of the process: Git, Docker and Kubernetes have their own
        text = " ".join(str(error).split())
        print(f"{type(error).__name__}: {text}", file=sys.stderr)
        return 1
    Path(answer).write_text(submitted.run_id, encoding="utf-8")
    return 0


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
