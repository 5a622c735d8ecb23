"""Package a fitted pipeline as an MLflow model folder: skops file (never a pickle), signature, pinned requirements."""

from __future__ import annotations

import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

from core.entities import Recipe, Task
from core.errors import TrainingFailed
from core.learning.safety.allowed_types import split_trusted
from core.learning.training import Fitted, Split

# The packages that loading and running the model needs. MLflow would run the model to infer them.
_NEEDED = ("mlflow", "scikit-learn", "skops", "numpy", "scipy", "pandas", "pyarrow")


def requirements() -> tuple[str, ...]:
    """Return the installed versions of the packages that the model needs, such as `skops==0.13.0`."""
    return tuple(f"{name}=={version(name)}" for name in _NEEDED)


def package(fitted: Fitted, data: Split, recipe: Recipe, folder: Path) -> Path:
    """Write the model below *folder* and return its own folder: MLmodel, model.skops, requirements.txt, environments.

    Raises:
        TrainingFailed: the skops file would hold types that are not on our own list.
    """
    import skops.io

    with tempfile.NamedTemporaryFile(suffix=".skops") as draft:
        skops.io.dump(fitted.pipeline, draft.name)
        trusted, foreign = split_trusted(skops.io.get_untrusted_types(file=draft.name))
    if foreign:
        raise TrainingFailed(
            "The model holds types that ModelLedger does not load ({types}); choose another estimator.",
            types=", ".join(foreign),
        )
    place = folder / "model"
    with warnings.catch_warnings():
        # MLflow warns about its own type hints while its modules are imported; no user can act on the warning.
        warnings.simplefilter("ignore")
        import mlflow.sklearn

        mlflow.sklearn.save_model(
            fitted.pipeline,
            str(place),
            serialization_format="skops",
            skops_trusted_types=list(trusted),
            signature=_signature(data, recipe),
            pip_requirements=list(requirements()),
            metadata={"recipe": recipe.name, "estimator": recipe.estimator, "target": recipe.target},
        )
    return place


def _signature(data: Split, recipe: Recipe) -> object:
    """Return the signature: numbers as optional doubles, texts as optional strings. The output is the target."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = [
        ColSpec("string" if data.train[name].dtype == object else "double", str(name), required=False)
        for name in data.train.columns
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec(_kind(data, recipe), recipe.target)]))


def _kind(data: Split, recipe: Recipe) -> str:
    if recipe.task is Task.REGRESSION:
        return "double"
    target = data.train_target
    if target.dtype == object:
        return "string"
    if np.issubdtype(target.dtype, np.bool_):
        return "boolean"
    return "long" if np.issubdtype(target.dtype, np.integer) else "double"
