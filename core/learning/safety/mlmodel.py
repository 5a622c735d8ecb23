"""MLmodel, the description in a model folder: read it, and judge what MLflow would load because of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from core.errors import ModelUnloadable
from core.texts import text

SKLEARN, SPARK, PYFUNC = "sklearn", "spark", "python_function"
# Each flavor that is loaded here, with every key that MLflow writes for the flavor. A key decides what MLflow loads and
# from where: a key that is not listed may name a pickle or a module of the author.
_KEYS = {
    SKLEARN: frozenset(
        {"pickled_model", "sklearn_version", "serialization_format", "code", "skops_trusted_types", "extra_files"}
    ),
    SPARK: frozenset({"pyspark_version", "model_data", "code", "model_class"}),
}
_PYFUNC_KEYS = frozenset({"loader_module", "python_version", "env", "code"})
# The keys under which python_function and the flavor itself name the model; both must name the same model.
_MODEL_KEYS = {SKLEARN: ("model_path", "pickled_model"), SPARK: ("data", "model_data")}
_EXTRA_PYFUNC_KEYS = {SKLEARN: frozenset({"model_path", "predict_fn"}), SPARK: frozenset({"data"})}
_PREDICT_FUNCTIONS = frozenset({"predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "score"})


def read_mlmodel(folder: Path) -> dict[str, Any]:
    """Return the contents of the folder's MLmodel. `flavors` is always there, a mapping of mappings.

    Raises:
        ModelUnloadable: MLmodel cannot be read or names no flavors.
    """
    try:
        description = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ModelUnloadable(
            "This folder is not an MLflow model: its MLmodel cannot be read ({reason}).",
            reason=str(error),
            folder=str(folder),
        ) from error
    if not isinstance(description, dict):
        raise ModelUnloadable("This folder is not an MLflow model: its MLmodel is empty.", folder=str(folder))
    flavors = description.get("flavors") or {}
    if not isinstance(flavors, dict) or not all(isinstance(keys, dict) for keys in flavors.values()):
        raise ModelUnloadable("This folder is not an MLflow model: its MLmodel names no flavors.", folder=str(folder))
    return {**description, "flavors": flavors}


def why_foreign(flavors: Mapping[str, Mapping[str, Any]], own: str) -> str:
    """Return why MLflow may load more than the flavor *own* (sklearn or spark), or something else; empty if not.

    Users of MLflow load a version by any of its flavors, most by python_function: all flavors are judged.
    """
    pyfunc = flavors.get(PYFUNC)
    if any(keys.get("code") for keys in flavors.values()):
        return text("the model brings Python files of its own; loading the model would run them.")
    if pyfunc is not None and pyfunc.get("loader_module") != f"mlflow.{own}":
        return text("loading the model runs the module {module}.", module=pyfunc.get("loader_module", "(no name)"))
    if others := sorted(str(name) for name in flavors if name not in (own, PYFUNC)):
        return text(
            "the model has the flavor {others} beside {own}; it is unknown what code loading {others} runs.",
            others=", ".join(others),
            own=own,
        )
    for name, keys in ((own, _KEYS[own]), (PYFUNC, _PYFUNC_KEYS | _EXTRA_PYFUNC_KEYS[own])):
        if unknown := sorted(str(key) for key in flavors.get(name, {}) if key not in keys):
            return text("the flavor {flavor} has unknown keys: {keys}.", flavor=name, keys=", ".join(unknown))
    return _why_other_model(pyfunc, flavors.get(own, {}), own) if pyfunc is not None else ""


def _why_other_model(pyfunc: Mapping[str, Any], flavor: Mapping[str, Any], own: str) -> str:
    """Return why the python_function flavor serves another model than the flavor *own*; empty if both are the same."""
    pyfunc_key, own_key = _MODEL_KEYS[own]
    if pyfunc.get(pyfunc_key) != flavor.get(own_key):
        return text(
            "the flavors name two models, {first} and {second}; only one of them would be inspected.",
            first=flavor.get(own_key),
            second=pyfunc.get(pyfunc_key),
        )
    if pyfunc.get("predict_fn", "predict") not in _PREDICT_FUNCTIONS:
        return text(
            "the model answers by calling {function}, which is not a prediction.", function=pyfunc["predict_fn"]
        )
    return ""
