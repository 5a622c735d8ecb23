"""Check that a model loads, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from core.errors import ModelUnloadable
from core.learning.safety.child_process import ROOT, last_line, process_environment
from core.learning.safety.inspect_model import ModelInfo, require_safe


def check_loads(folder: Path, *, timeout_s: float = 60.0) -> ModelInfo:
    """Load the model in *folder* in a process of its own and return its description.

    Raises:
        ModelUnloadable: loading would run the author's code, a file is missing or damaged, or loading takes longer
            than *timeout_s*.
    """
    info = require_safe(folder)
    command = [sys.executable, "-m", "core.learning.safety.model_process", "check", str(folder)]
    try:
        process = subprocess.run(
            command,
            cwd=ROOT,
            env=process_environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelUnloadable(
            "The model did not load within {timeout_s:g} s.", timeout_s=timeout_s, folder=str(folder)
        ) from error
    if process.returncode != 0:
        raise ModelUnloadable("The model does not load: {reason}", reason=last_line(process.stderr), folder=str(folder))
    return info
