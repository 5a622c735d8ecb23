"""Model folders: what is in one, told without loading it; and whether it loads, tried in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ModelUnloadable
from core.learning.safety.allowed_types import split_trusted
from core.learning.safety.mlmodel import PYFUNC, SKLEARN, read_mlmodel, why_foreign
from core.learning.spark import models

_ROOT = Path(__file__).resolve().parents[3]
_PROCESS = "core.learning.safety.model_process"
SKOPS, SPARK_ML = "skops", "spark ml"


@dataclass(frozen=True, kw_only=True)
class ModelColumn:
    """One input or output of a model's signature."""

    name: str
    type: str
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a model folder says of itself. *is_safe* means: loading it runs no code of its author; *why* says so.

    *format* is skops, spark ml, pickle, cloudpickle, loader module or unknown. *foreign_types* are types in the
    skops file that we do not load.
    """

    format: str
    is_safe: bool
    why: str
    flavors: tuple[str, ...]
    inputs: tuple[ModelColumn, ...]
    outputs: tuple[ModelColumn, ...]
    requirements: tuple[str, ...]
    made_with: Mapping[str, str]
    foreign_types: tuple[str, ...] = ()
    model_file: str | None = None


def inspect_model(folder: Path) -> ModelInfo:
    """Reads MLmodel, requirements.txt and the skops file's table of types. Runs nothing. Raises ModelUnloadable."""
    description = read_mlmodel(folder)
    flavors = description["flavors"]
    sklearn, pyfunc = flavors.get(SKLEARN) or {}, flavors.get(PYFUNC) or {}
    signature = description.get("signature") or {}
    kind, why, foreign = _judge_spark(folder) if models.FLAVOR in flavors else _judge(folder, flavors)
    return ModelInfo(
        format=kind,
        is_safe=kind in (SKOPS, SPARK_ML) and not foreign,
        why=why,
        flavors=tuple(sorted(flavors)),
        inputs=_columns(signature.get("inputs")),
        outputs=_columns(signature.get("outputs")),
        requirements=_requirements(folder),
        made_with=_made_with(description, sklearn, pyfunc),
        foreign_types=foreign,
        model_file=str(sklearn.get("pickled_model") or pyfunc.get("model_path") or "") or None,
    )


def check_loads(folder: Path, *, timeout_s: float = 60.0) -> ModelInfo:
    """Loads the model in a process of its own and returns its description.

    Raises ModelUnloadable: it would run its author's code, a file is missing or broken, or it takes too long.
    """
    info = require_safe(folder)
    command = [sys.executable, "-m", _PROCESS, "check", str(folder)]
    try:
        done = subprocess.run(
            command,
            cwd=_ROOT,
            env=process_environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelUnloadable(f"The model did not load within {timeout_s:g} s.", folder=str(folder)) from error
    if done.returncode != 0:
        raise ModelUnloadable(f"The model does not load: {last_line(done.stderr)}", folder=str(folder))
    return info


def require_safe(folder: Path) -> ModelInfo:
    """The description of a model that may be loaded. Raises ModelUnloadable for any other."""
    info = inspect_model(folder)
    if not info.is_safe:
        raise ModelUnloadable(f"This model is not loaded: {info.why}", folder=str(folder), format=info.format)
    return info


def process_environment() -> dict[str, str]:
    """What a model's process gets of our environment: no settings, no credentials, one thread per library."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    return {**kept, "PYTHONPATH": str(_ROOT), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}


def last_line(text: str) -> str:
    """The last line that a process wrote: where Python puts the reason."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:400] if lines else "it ended without a reason."


def _judge(folder: Path, flavors: Mapping[str, Mapping[str, Any]]) -> tuple[str, str, tuple[str, ...]]:
    """Format, reason in words, foreign types."""
    sklearn = flavors.get(SKLEARN) or {}
    # A flavor without this key was written before there was a choice: it is a pickle.
    kind = str(sklearn.get("serialization_format") or "pickle") if sklearn else "unknown"
    if sklearn and kind != SKOPS:
        return kind, f"it is stored as {kind}; loading that runs whatever its author put into it.", ()
    foreign = _foreign_types(_inside(folder, str(sklearn.get("pickled_model") or "model.skops"))) if sklearn else ()
    reason = why_foreign(flavors, SKLEARN)
    if reason:
        return "loader module", reason, foreign
    if not sklearn:
        return "unknown", "it has no scikit-learn flavor, the only one that is loaded here.", ()
    if not foreign:
        # Our own list decides here, but everyone else's MLflow asks the model's.
        foreign = split_trusted(str(name) for name in sklearn.get("skops_trusted_types") or ())[1]
    if foreign:
        return SKOPS, f"it holds types that are not loaded here: {', '.join(foreign)}.", foreign
    return SKOPS, "skops holds plain values and types that are known here; loading it runs no code of its author.", ()


def _judge_spark(folder: Path) -> tuple[str, str, tuple[str, ...]]:
    reason = models.why_unsafe(folder)
    if reason:
        return "loader module", reason, ()
    return SPARK_ML, "it holds stages of Spark's own as JSON and Parquet; loading it runs no code of its author.", ()


def _inside(folder: Path, name: str) -> Path:
    file = (folder / name).resolve()
    if folder.resolve() not in file.parents or not file.is_file():
        raise ModelUnloadable(f"The model file {name!r} is not in the artifact.", folder=str(folder))
    return file


def _foreign_types(file: Path) -> tuple[str, ...]:
    import skops.io

    try:
        found = skops.io.get_untrusted_types(file=str(file))
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        TypeError,
        OSError,
        json.JSONDecodeError,
        AttributeError,
    ) as error:
        raise ModelUnloadable(f"{file.name} is damaged: it is no skops file ({error}).", file=file.name) from error
    return split_trusted(found)[1]


def _columns(text: object) -> tuple[ModelColumn, ...]:
    if not isinstance(text, str):
        return ()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelUnloadable(f"The model's signature is damaged: it is no JSON ({error}).") from error
    if not isinstance(found, list):
        return ()
    return tuple(
        ModelColumn(
            name=str(column.get("name") or f"column {number}"),
            type=str(column.get("type", "?")),
            required=bool(column.get("required", True)),
        )
        for number, column in enumerate(found)
        if isinstance(column, dict)
    )


def _requirements(folder: Path) -> tuple[str, ...]:
    file = folder / "requirements.txt"
    if not file.is_file():
        return ()
    lines = (line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def _made_with(description: Mapping[str, Any], sklearn: Mapping[str, Any], pyfunc: Mapping[str, Any]) -> dict[str, str]:
    known = {
        "mlflow": description.get("mlflow_version"),
        "scikit-learn": sklearn.get("sklearn_version"),
        "pyspark": (description["flavors"].get(models.FLAVOR) or {}).get("pyspark_version"),
        "python": pyfunc.get("python_version"),
        "written": description.get("utc_time_created"),
        "size_bytes": description.get("model_size_bytes"),
    }
    return {name: str(value) for name, value in known.items() if value}
