"""Inspect a model folder: what the folder holds, and whether the model is safe to load. Nothing is loaded."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ModelUnloadable
from core.learning.safety.allowed_types import split_trusted
from core.learning.safety.mlmodel import PYFUNC, SKLEARN, SPARK, read_mlmodel, why_foreign
from core.learning.safety.spark_ml import why_unsafe
from core.texts import text

SKOPS, SPARK_ML = "skops", "spark ml"


@dataclass(frozen=True, kw_only=True)
class ModelColumn:
    """One input, output or parameter of a model's signature. *type* is MLflow's name of it, such as "array<string>"."""

    name: str
    type: str
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """The description of a model folder. *is_safe*: loading the model runs no code of its author, for the reason *why*.

    *format* is skops, spark ml, pickle, cloudpickle, loader module or unknown. Of the types in the skops file,
    *trusted_types* are on our own list and *foreign_types* are not; skops trusts all others by itself.
    """

    format: str
    is_safe: bool
    why: str
    inputs: tuple[ModelColumn, ...]
    outputs: tuple[ModelColumn, ...]
    requirements: tuple[str, ...]
    made_with: Mapping[str, str]
    trusted_types: tuple[str, ...] = ()
    foreign_types: tuple[str, ...] = ()
    model_file: str | None = None
    parameters: tuple[ModelColumn, ...] = ()


def require_safe(folder: Path) -> ModelInfo:
    """Return the description of a model that is safe to load. Everything that loads a model calls this function first.

    Raises:
        ModelUnloadable: the model is not safe to load, or the folder is damaged.
    """
    info = inspect_model(folder)
    if not info.is_safe:
        raise ModelUnloadable("This model is not loaded: {why}", why=info.why, folder=str(folder), format=info.format)
    return info


def inspect_model(folder: Path) -> ModelInfo:
    """Read MLmodel, requirements.txt and the table of types in the skops file. Runs no code of the model.

    Raises:
        ModelUnloadable: the folder is damaged or is not an MLflow model.
    """
    description = read_mlmodel(folder)
    flavors = description["flavors"]
    sklearn, pyfunc = flavors.get(SKLEARN) or {}, flavors.get(PYFUNC) or {}
    signature = description.get("signature") or {}
    judgement = _judge_spark(folder) if SPARK in flavors else _judge_sklearn(folder, flavors)
    return ModelInfo(
        format=judgement.format,
        is_safe=judgement.format in (SKOPS, SPARK_ML) and not judgement.foreign_types,
        why=judgement.why,
        inputs=_columns(signature.get("inputs")),
        outputs=_columns(signature.get("outputs")),
        requirements=_requirements(folder),
        made_with=_made_with(description, sklearn, pyfunc),
        trusted_types=judgement.trusted_types,
        foreign_types=judgement.foreign_types,
        model_file=str(sklearn.get("pickled_model") or pyfunc.get("model_path") or "") or None,
        parameters=_columns(signature.get("params")),
    )


@dataclass(frozen=True, kw_only=True)
class _Judgement:
    format: str
    why: str
    trusted_types: tuple[str, ...] = ()
    foreign_types: tuple[str, ...] = ()


def _judge_sklearn(folder: Path, flavors: Mapping[str, Mapping[str, Any]]) -> _Judgement:
    sklearn = flavors.get(SKLEARN) or {}
    # A flavor without this key was written before MLflow offered a choice: the model is a pickle.
    stored_as = str(sklearn.get("serialization_format") or "pickle") if sklearn else "unknown"
    if sklearn and stored_as != SKOPS:
        why = text("the model is stored as {format}; loading it runs code of its author.", format=stored_as)
        return _Judgement(format=stored_as, why=why)
    trusted, foreign = _types_in(folder, str(sklearn.get("pickled_model") or "model.skops")) if sklearn else ((), ())
    reason = why_foreign(flavors, SKLEARN)
    if reason:
        return _Judgement(format="loader module", why=reason, foreign_types=foreign)
    if not sklearn:
        why = text("the model has no scikit-learn flavor and no Spark flavor; no other flavor is loaded here.")
        return _Judgement(format="unknown", why=why)
    # Our own list decides here, but MLflow elsewhere asks the list of the model.
    foreign = foreign or split_trusted(str(name) for name in sklearn.get("skops_trusted_types") or ())[1]
    if foreign:
        why = text("the model file holds types that are not loaded here: {types}.", types=", ".join(foreign))
    else:
        why = text("the skops file holds plain values and known types; loading the model runs no code of its author.")
    return _Judgement(format=SKOPS, why=why, trusted_types=trusted, foreign_types=foreign)


def _judge_spark(folder: Path) -> _Judgement:
    reason = why_unsafe(folder)
    if reason:
        return _Judgement(format="loader module", why=reason)
    why = text("the model holds Spark's own stages as JSON and Parquet; loading it runs no code of its author.")
    return _Judgement(format=SPARK_ML, why=why)


def _types_in(folder: Path, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the trusted and the foreign types in the skops file *name* of *folder*."""
    file = (folder / name).resolve()
    if folder.resolve() not in file.parents or not file.is_file():
        raise ModelUnloadable("The model file {name!r} is not in the artifact.", name=name, folder=str(folder))
    import skops.io

    try:
        types = skops.io.get_untrusted_types(file=str(file))
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        TypeError,
        OSError,
        json.JSONDecodeError,
        AttributeError,
    ) as error:
        raise ModelUnloadable(
            "{file} is damaged: it is not a skops file ({reason}).", file=file.name, reason=str(error)
        ) from error
    return split_trusted(types)


def _columns(signature: object) -> tuple[ModelColumn, ...]:
    if not isinstance(signature, str):
        return ()
    try:
        columns = json.loads(signature)
        if not isinstance(columns, list):
            return ()
        return tuple(
            ModelColumn(
                name=str(column.get("name") or f"column {number}"),
                type=_type_name(column),
                required=bool(column.get("required", True)),
            )
            for number, column in enumerate(columns)
            if isinstance(column, dict)
        )
    except (ValueError, RecursionError) as error:
        raise ModelUnloadable(
            "The model's signature is damaged: it is not valid JSON ({reason}).", reason=str(error)
        ) from error


def _type_name(column: Mapping[str, Any]) -> str:
    """Return the type with what is inside it: array<string>, object{a: long}, tensor float64 (-1, 4)."""
    name = str(column.get("type", "?"))
    match column:
        case {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [*shape]}}:
            return f"tensor {dtype} ({', '.join(map(str, shape))})"
        case {"type": "array", "items": dict(items)}:
            return f"array<{_type_name(items)}>"
        case {"type": "map", "values": dict(values)}:
            return f"map<{_type_name(values)}>"
        case {"type": "object", "properties": dict(properties)}:
            fields = [
                f"{field}{'' if kind.get('required', True) else '?'}: {_type_name(kind)}"
                for field, kind in sorted(properties.items())
                if isinstance(kind, dict)
            ]
            return f"object{{{', '.join(fields)}}}"
        case {"shape": [*shape]}:
            return f"array<{name}>" if len(shape) == 1 else f"{name} {shape}"
    return name


def _requirements(folder: Path) -> tuple[str, ...]:
    file = folder / "requirements.txt"
    if not file.is_file():
        return ()
    lines = (line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def _made_with(description: Mapping[str, Any], sklearn: Mapping[str, Any], pyfunc: Mapping[str, Any]) -> dict[str, str]:
    facts = {
        "mlflow": description.get("mlflow_version"),
        "scikit-learn": sklearn.get("sklearn_version"),
        "pyspark": (description["flavors"].get(SPARK) or {}).get("pyspark_version"),
        "python": pyfunc.get("python_version"),
        "written": description.get("utc_time_created"),
        "size_bytes": description.get("model_size_bytes"),
    }
    return {name: str(value) for name, value in facts.items() if value}
