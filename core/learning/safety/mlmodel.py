"""MLmodel, a model folder's description of itself: read, and judged by what MLflow would load because of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from core.errors import ModelUnloadable

SKLEARN, SPARK, PYFUNC = "sklearn", "spark", "python_function"
# Each flavor that is loaded here, with every key that MLflow writes for it. A key decides what MLflow loads, and from
# where: one that is not listed may be a pickle or a module of the author's.
_KEYS = {
    SKLEARN: frozenset(
        {"pickled_model", "sklearn_version", "serialization_format", "code", "skops_trusted_types", "extra_files"}
    ),
    SPARK: frozenset({"pyspark_version", "model_data", "code", "model_class"}),
}
_PYFUNC_KEYS = frozenset({"loader_module", "python_version", "env", "code"})
# The python_function flavor serves the same model to everyone else: under this key, which must say the same as that.
_SAME = {SKLEARN: ("model_path", "pickled_model"), SPARK: ("data", "model_data")}
_ONLY = {SKLEARN: frozenset({"model_path", "predict_fn"}), SPARK: frozenset({"data"})}
_PREDICTS = frozenset({"predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "score"})
_WORDS = {SKLEARN: "model files", SPARK: "models"}


def read_mlmodel(folder: Path) -> dict[str, Any]:
    """What the folder's MLmodel says: `flavors` is there, a mapping of mappings. Raises ModelUnloadable."""
    try:
        found = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ModelUnloadable(
            f"This is no MLflow model: its MLmodel cannot be read ({error}).", folder=str(folder)
        ) from error
    if not isinstance(found, dict):
        raise ModelUnloadable("This is no MLflow model: its MLmodel is empty.", folder=str(folder))
    flavors = found.get("flavors") or {}
    if not isinstance(flavors, dict) or not all(isinstance(said, dict) for said in flavors.values()):
        raise ModelUnloadable("This is no MLflow model: its MLmodel names no flavors.", folder=str(folder))
    return {**found, "flavors": flavors}


def why_foreign(flavors: Mapping[str, Mapping[str, Any]], own: str) -> str:
    """Why MLflow may load more, or something else, than the flavor *own* (sklearn or spark); empty where it does not.

    MLflow's users load a version by any of its flavors, most by python_function: all of them are judged.
    """
    pyfunc = flavors.get(PYFUNC)
    if any(said.get("code") for said in flavors.values()):
        return "it brings Python files of its own, which loading it would run."
    if pyfunc is not None and pyfunc.get("loader_module") != f"mlflow.{own}":
        return f"loading it runs the module {pyfunc.get('loader_module', 'of no name')}."
    if beside := sorted(str(name) for name in flavors if name not in (own, PYFUNC)):
        return f"it has the flavor {', '.join(beside)} beside {own}; what loading that one runs is not known here."
    for name, keys in ((own, _KEYS[own]), (PYFUNC, _PYFUNC_KEYS | _ONLY[own])):
        if unknown := sorted(str(key) for key in flavors.get(name, {}) if key not in keys):
            return f"it says {', '.join(unknown)} of its {name} flavor, which is not known here."
    return _why_other(pyfunc, flavors.get(own, {}), own) if pyfunc is not None else ""


def _why_other(pyfunc: Mapping[str, Any], flavor: Mapping[str, Any], own: str) -> str:
    """Why the python_function flavor serves something else than the flavor *own*."""
    theirs, ours = _SAME[own]
    if pyfunc.get(theirs) != flavor.get(ours):
        return f"it names two {_WORDS[own]}, {flavor.get(ours)} and {pyfunc.get(theirs)}; only one would be looked at."
    if pyfunc.get("predict_fn", "predict") not in _PREDICTS:
        return f"it answers by calling {pyfunc['predict_fn']}, which is no prediction."
    return ""
