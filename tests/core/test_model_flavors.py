"""Model folders that MLflow would load in another way than we do are unsafe; plain model folders are safe."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import skops.io
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from core.errors import ModelUnloadable
from core.learning.safety.inspect_model import inspect_model, require_safe
from core.learning.safety.spark_ml import why_unsafe
from tests.core.test_spark_models import model as spark_model

ROWS = [[0.0, 1.0], [1.0, 0.0], [0.5, 2.0], [2.0, 0.5]]
ANSWERS = [0, 1, 0, 1]


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.file,)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scaled logistic regression, saved by mlflow.sklearn.save_model without code of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.sklearn

        fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, ANSWERS)
        place = tmp_path_factory.mktemp("plain") / "model"
        mlflow.sklearn.save_model(fitted, str(place), serialization_format="skops", pip_requirements=["scikit-learn"])
    return place


def changed(folder: Path, to: Path, flavor: str, **keys: Any) -> Path:
    made = to / "copy"
    shutil.copytree(folder, made)
    return describe(made, flavor, **keys)


def describe(folder: Path, flavor: str, **keys: Any) -> Path:
    """The folder with *keys* of the flavor changed in its MLmodel; None removes a key."""
    description = yaml.safe_load((folder / "MLmodel").read_text())
    said = description["flavors"].setdefault(flavor, {})
    said.update(keys)
    for name in [name for name, value in keys.items() if value is None]:
        del said[name]
    (folder / "MLmodel").write_text(yaml.safe_dump(description))
    return folder


def loaded_by_mlflow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load the model as users of models:/NAME@production do, where loading is allowed."""
    import mlflow.pyfunc

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder.parent / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    mlflow.pyfunc.load_model(str(folder), suppress_warnings=True)


def test_a_plain_model_of_mlflow_is_safe_and_loads_there(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (inspect_model(plain).format, inspect_model(plain).is_safe) == ("skops", True)
    loaded_by_mlflow(plain, monkeypatch)


def test_a_plain_model_without_the_python_function_flavor_is_safe(plain: Path, tmp_path: Path) -> None:
    made = changed(plain, tmp_path, "sklearn")
    description = yaml.safe_load((made / "MLmodel").read_text())
    del description["flavors"]["python_function"]
    (made / "MLmodel").write_text(yaml.safe_dump(description))
    assert inspect_model(made).is_safe


def test_a_second_path_that_mlflow_would_unpickle_is_unsafe(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harmed = tmp_path / "harmed"
    made = changed(plain, tmp_path, "python_function", data="sub/model.pkl")
    (made / "sub").mkdir()
    (made / "sub" / "model.pkl").write_bytes(pickle.dumps(Evil(harmed)))
    with pytest.raises(ModelUnloadable, match="the flavor python_function has unknown keys: data"):
        require_safe(made)
    loaded_by_mlflow(made, monkeypatch)
    assert harmed.exists(), "MLflow runs the code: the danger is real"


def test_a_second_model_file_for_the_python_function_is_unsafe(plain: Path, tmp_path: Path) -> None:
    made = changed(plain, tmp_path, "python_function", model_path="other.skops")
    skops.io.dump(FunctionTransformer(os.system), made / "other.skops")
    describe(made, "sklearn", skops_trusted_types=["posix.system"])
    info = inspect_model(made)
    assert not info.is_safe
    assert "two models, model.skops and other.skops" in info.why


def test_types_that_only_the_file_trusts_are_unsafe(plain: Path, tmp_path: Path) -> None:
    info = inspect_model(changed(plain, tmp_path, "sklearn", skops_trusted_types=["numpy.dtype", "posix.system"]))
    assert not info.is_safe
    assert "posix.system" in info.why


@pytest.mark.parametrize("flavor", ["pytorch", "xgboost", "anything at all"])
def test_a_flavor_beside_the_known_ones_is_unsafe_and_named(plain: Path, tmp_path: Path, flavor: str) -> None:
    info = inspect_model(changed(plain, tmp_path, flavor, model_data="data", model_class=None))
    assert not info.is_safe
    assert flavor in info.why


@pytest.mark.parametrize(
    ("flavor", "keys", "expected"),
    [
        ("python_function", {"config": {"a": 1}}, "config"),
        ("python_function", {"model_code_path": "model.py"}, "model_code_path"),
        ("python_function", {"python_model": "python_model.pkl"}, "python_model"),
        ("python_function", {"predict_fn": "__reduce__"}, "__reduce__"),
        ("python_function", {"loader_module": None, "model_path": "model.skops"}, "module (no name)"),
        ("sklearn", {"model_file": "other.pkl"}, "model_file"),
    ],
)
def test_an_unknown_key_is_unsafe_and_named(
    plain: Path, tmp_path: Path, flavor: str, keys: dict[str, Any], expected: str
) -> None:
    info = inspect_model(changed(plain, tmp_path, flavor, **keys))
    assert not info.is_safe
    assert expected in info.why


@pytest.mark.parametrize("flavors", [["sklearn"], {"sklearn": "model.pkl"}, "sklearn"])
def test_invalid_flavors_are_reported_as_damage(plain: Path, tmp_path: Path, flavors: object) -> None:
    made = changed(plain, tmp_path, "sklearn")
    (made / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    with pytest.raises(ModelUnloadable, match="MLmodel"):
        inspect_model(made)
    with pytest.raises(ModelUnloadable, match="MLmodel"):
        why_unsafe(made)


def test_a_signature_that_is_not_json_is_reported_as_damage(plain: Path, tmp_path: Path) -> None:
    made = changed(plain, tmp_path, "sklearn")
    description = yaml.safe_load((made / "MLmodel").read_text())
    (made / "MLmodel").write_text(yaml.safe_dump({**description, "signature": {"inputs": "{"}}))
    with pytest.raises(ModelUnloadable, match="signature"):
        inspect_model(made)


@pytest.mark.parametrize(
    ("flavor", "keys", "expected"),
    [
        ("python_function", {"loader_module": "evil"}, "runs the module evil"),
        ("python_function", {"loader_module": "mlflow.sklearn"}, "runs the module mlflow.sklearn"),
        ("python_function", {"code": "code"}, "Python files of its own"),
        ("python_function", {"data": "elsewhere"}, "two models, sparkml and elsewhere"),
        ("python_function", {"model_path": "model.pkl"}, "model_path"),
        ("sklearn", {"pickled_model": "model.pkl"}, "sklearn"),
        ("mleap", {"model_data": "x"}, "mleap"),
        ("spark", {"unknown": 1}, "unknown"),
    ],
)
def test_a_spark_model_is_judged_by_all_its_flavors(
    tmp_path: Path, flavor: str, keys: dict[str, Any], expected: str
) -> None:
    made = describe(spark_model(tmp_path), flavor, **keys)
    assert expected in why_unsafe(made)
    with pytest.raises(ModelUnloadable, match=expected):
        require_safe(made)


def test_a_spark_model_below_another_mlmodel_is_unsafe(tmp_path: Path) -> None:
    """MLflow's python_function reads the MLmodel beside the stages, which is not the inspected one."""
    made = spark_model(tmp_path)
    (made / "deep").mkdir()
    (made / "sparkml").rename(made / "deep" / "sparkml")
    for flavor, key in (("spark", "model_data"), ("python_function", "data")):
        describe(made, flavor, **{key: "deep/sparkml"})
    (made / "deep" / "MLmodel").write_text(json.dumps({"flavors": {"spark": {"model_class": "pyspark.ml.connect.X"}}}))
    assert "must be in a folder beside MLmodel" in why_unsafe(made)
