"""Model folders: packaged as skops, inspected without loading, loaded and scored in a process of their own."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import skops.io
import yaml
from sklearn.preprocessing import FunctionTransformer

from core.entities import Recipe, Task
from core.errors import ModelUnloadable, SchemaMismatch
from core.learning.estimators import ESTIMATORS
from core.learning.packaging import package
from core.learning.safety.check_loads import check_loads
from core.learning.safety.child_process import process_environment
from core.learning.safety.inspect_model import inspect_model, require_safe
from core.learning.scoring import predict
from core.learning.training import Fitted, Split, fit, split

CLASSIFIER = Recipe(
    name="r", model="m", task=Task.CLASSIFICATION, table="t", target="kind", estimator="logistic_regression"
)
REGRESSION = replace(CLASSIFIER, task=Task.REGRESSION, target="amount", estimator="ridge")


def rows() -> pa.Table:
    """60 rows in which the size determines the kind, and the amount is twice the size."""
    return pa.table(
        {
            "size": [float(number % 30) for number in range(60)],
            "colour": ["red", None, "blue"] * 20,
            "kind": ["small" if number % 30 < 15 else "large" for number in range(60)],
            "amount": [2.0 * (number % 30) for number in range(60)],
        }
    )


def fitted(recipe: Recipe) -> tuple[Fitted, Split, Recipe]:
    chosen = replace(recipe, features=("size", "colour"))
    data = split(rows(), chosen)
    return fit(chosen, data), data, chosen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, data, recipe = fitted(CLASSIFIER)
    return package(model, data, recipe, tmp_path_factory.mktemp("model"))


def copy_of(folder: Path, to: Path, **flavor: object) -> Path:
    """A copy of a model folder with its description changed: {"sklearn.x": value}."""
    made = to / "copy"
    made.mkdir()
    for file in folder.iterdir():
        (made / file.name).write_bytes(file.read_bytes())
    description = yaml.safe_load((made / "MLmodel").read_text())
    for path, value in flavor.items():
        name, key = path.split(".")
        description["flavors"].setdefault(name, {})[key] = value
    (made / "MLmodel").write_text(yaml.safe_dump(description))
    return made


def test_a_packaged_model_is_skops_with_signature_and_pinned_requirements(folder: Path) -> None:
    info = inspect_model(folder)
    assert (info.format, info.is_safe, info.foreign_types) == ("skops", True, ())
    assert [(column.name, column.type) for column in info.inputs] == [("size", "double"), ("colour", "string")]
    assert [(column.name, column.type) for column in info.outputs] == [("kind", "string")]
    assert any(line.startswith("scikit-learn==") for line in info.requirements)
    assert any(line.startswith("skops==") for line in info.requirements)
    assert not list(folder.glob("*.pkl"))


@pytest.mark.parametrize("estimator", sorted(ESTIMATORS))
def test_every_estimator_is_packaged_without_foreign_types(estimator: str, tmp_path: Path) -> None:
    base = CLASSIFIER if ESTIMATORS[estimator].task is Task.CLASSIFICATION else REGRESSION
    model, data, recipe = fitted(replace(base, estimator=estimator))
    assert inspect_model(package(model, data, recipe, tmp_path)).is_safe


def test_a_sound_model_loads_in_a_process_of_its_own(folder: Path) -> None:
    assert check_loads(folder).format == "skops"


def test_predictions_come_batch_by_batch_in_order(folder: Path) -> None:
    asked = pa.table({"colour": ["red", "green", None], "size": [0, 29, 1], "extra": [1, 2, 3]})
    answers = list(predict(folder, asked.to_batches(max_chunksize=2), asked.schema))
    assert [batch.num_rows for batch in answers] == [2, 1]
    made = pa.Table.from_batches(answers)
    assert made.column("prediction").to_pylist() == ["small", "large", "small"]
    assert all(0.5 <= value <= 1.0 for value in made.column("probability").to_pylist())


def test_a_regression_predicts_numbers_without_probabilities(tmp_path: Path) -> None:
    model, data, recipe = fitted(REGRESSION)
    place = package(model, data, recipe, tmp_path)
    (batch,) = predict(place, rows().slice(0, 5).to_batches(), rows().schema)
    assert batch.column("prediction").to_pylist() == pytest.approx([0, 2, 4, 6, 8], abs=1.5)
    assert batch.column("probability").null_count == 5


def test_an_empty_batch_gives_an_empty_answer(folder: Path) -> None:
    (batch,) = predict(folder, rows().slice(0, 0).combine_chunks().to_batches() or [empty_batch()], rows().schema)
    assert batch.num_rows == 0
    assert batch.schema.field("prediction").type == pa.string()


def empty_batch() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=rows().schema)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"colour": ["red"]}, "reads size, but the data has no such column"),
        ({"colour": ["red"], "size": ["tall"]}, "reads 'size' as double; the data has the type string"),
        ({"colour": [1], "size": [1.0]}, "reads 'colour' as string; the data has the type int64"),
    ],
)
def test_data_that_does_not_fit_the_signature_is_refused(
    folder: Path, data: dict[str, list[object]], expected: str
) -> None:
    table = pa.table(data)
    with pytest.raises(SchemaMismatch, match=expected):
        list(predict(folder, table.to_batches(), table.schema))


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("kind", ["pickle", "cloudpickle", None])
def test_a_pickled_model_is_never_loaded(folder: Path, tmp_path: Path, kind: str | None) -> None:
    harmed = tmp_path / "harmed"
    copy = copy_of(folder, tmp_path, **{"sklearn.serialization_format": kind, "sklearn.pickled_model": "model.pkl"})
    (copy / "model.pkl").write_bytes(pickle.dumps(Evil(harmed)))
    for attempt in (require_safe, check_loads):
        with pytest.raises(ModelUnloadable, match="pickle"):
            attempt(copy)
    with pytest.raises(ModelUnloadable, match="pickle"):
        list(predict(copy, rows().to_batches(), rows().schema))
    assert not harmed.exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"python_function.loader_module": "evil"}, "runs the module evil"),
        ({"sklearn.code": "code"}, "Python files of its own"),
        ({"python_function.code": "code"}, "Python files of its own"),
        ({"sklearn.pickled_model": "../../../etc/passwd"}, "not in the artifact"),
        ({"sklearn.pickled_model": "requirements.txt"}, "damaged"),
    ],
)
def test_a_model_that_would_run_code_or_reach_outside_is_refused(
    folder: Path, tmp_path: Path, changes: dict[str, object], expected: str
) -> None:
    copy = copy_of(folder, tmp_path, **changes)
    with pytest.raises(ModelUnloadable, match=expected):
        check_loads(copy)


def test_a_skops_file_with_a_foreign_type_is_refused_even_if_its_own_list_trusts_the_type(
    folder: Path, tmp_path: Path
) -> None:
    copy = copy_of(folder, tmp_path, **{"sklearn.skops_trusted_types": ["os.system", "posix.system"]})
    skops.io.dump(FunctionTransformer(os.system), copy / "model.skops")
    info = inspect_model(copy)
    assert not info.is_safe
    assert any("system" in name for name in info.foreign_types)
    with pytest.raises(ModelUnloadable, match="not loaded here"):
        check_loads(copy)


def test_a_damaged_model_is_unloadable_with_its_reason(folder: Path, tmp_path: Path) -> None:
    copy = copy_of(folder, tmp_path)
    whole = (copy / "model.skops").read_bytes()
    (copy / "model.skops").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelUnloadable, match="damaged"):
        check_loads(copy)
    (copy / "model.skops").unlink()
    with pytest.raises(ModelUnloadable, match="not in the artifact"):
        check_loads(copy)
    (copy / "MLmodel").write_text("{")
    with pytest.raises(ModelUnloadable, match="MLmodel"):
        check_loads(copy)


def test_a_model_that_takes_too_long_to_load_is_unloadable(folder: Path) -> None:
    with pytest.raises(ModelUnloadable, match=r"within 0\.01 s"):
        check_loads(folder, timeout_s=0.01)


def test_the_models_process_gets_no_settings_and_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELLEDGER_DATABASE_URL", "postgresql://me:secret@db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert "secret" not in str(process_environment())
