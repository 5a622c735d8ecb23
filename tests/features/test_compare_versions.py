"""Two model versions compared: trained here, and foreign ones of which little is known."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from core.entities import Actor, DataUse, ModelVersionKey, Stage
from core.errors import BadInput, ModelVersionNotFound
from core.features.runs.compare import Direction
from core.features.runs.compare_versions import Pair, Part, VersionComparison, compare_versions
from core.features.stores import Stores
from core.learning.artifact_files import folder_sha256
from core.learning.comparison.signatures import Compatibility
from tests.plain_registry import PlainRegistry

MODEL = "iris_classifier"


def key(number: int, model: str = MODEL) -> ModelVersionKey:
    return ModelVersionKey(model=model, version=number)


def pair(found: VersionComparison, part: Part, name: str) -> Pair:
    return next(pair for pair in found.facts[part] if pair.name == name)


def test_versions_trained_here_are_compared_in_every_part(sample_stores: Stores, auditor: Actor) -> None:
    sample_stores.models.set_stages(MODEL, {1: Stage.PRODUCTION})
    found = compare_versions(sample_stores, auditor, key(1), key(3))

    metrics = {metric.name: metric for metric in found.metrics}
    run = [sample_stores.runs.get(str(sample_stores.models.version(key(number)).run_id)) for number in (1, 3)]
    for name, better in (("precision", Direction.BETTER), ("log_loss", Direction.BETTER)):
        metric = metrics[name]
        assert (metric.first, metric.second) == (run[0].metrics[name], run[1].metrics[name])
        assert metric.delta == run[1].metrics[name] - run[0].metrics[name]
        assert metric.direction is better
    assert metrics["log_loss"].delta is not None
    assert metrics["log_loss"].delta < 0, "lower is better"
    assert metrics["TestRows"].direction is Direction.UNKNOWN

    assert (pair(found, Part.PARAMS, "DataV").first, pair(found, Part.PARAMS, "DataV").second) == ("0", "2")
    assert not pair(found, Part.PARAMS, "seed").differs
    assert pair(found, Part.VERSION, "stage").first == "Production"
    assert pair(found, Part.VERSION, "aliases").first == "production"
    assert pair(found, Part.VERSION, "trained by").second == run[1].user
    assert not pair(found, Part.REQUIREMENTS, "scikit-learn").differs
    assert pair(found, Part.ENVIRONMENT, "python").second
    assert pair(found, Part.TAGS, "delta.version").is_own
    assert found.signature.verdict is Compatibility.COMPATIBLE
    (data,) = found.data
    assert (data.table, data.use, data.comparison.value) == ("iris_training_data", DataUse.TRAINING, "different")
    assert data.first is not None
    assert data.second is not None
    assert (data.first.rows, data.second.rows, data.versions_to_diff) == (50, 150, (0, 2))
    (note,) = found.notes
    assert "their KPIs do not compare" in note
    assert found.unknown == ()


def test_the_hash_is_that_of_the_files(sample_stores: Stores, auditor: Actor, tmp_path: Path) -> None:
    found = compare_versions(sample_stores, auditor, key(1), key(3))
    files = sample_stores.models.download(key(3), tmp_path / "copy")
    assert pair(found, Part.ARTIFACT, "SHA-256 of the files").second == folder_sha256(files)


def test_better_turns_with_the_direction(sample_stores: Stores, auditor: Actor) -> None:
    found = compare_versions(sample_stores, auditor, key(3), key(1))
    assert {m.direction for m in found.metrics if m.name in ("precision", "log_loss")} == {Direction.WORSE}


def test_versions_of_two_models_are_compared(sample_stores: Stores, auditor: Actor) -> None:
    found = compare_versions(sample_stores, auditor, key(1), key(1, "diabetes_progression"))
    assert found.signature.verdict is Compatibility.INCOMPATIBLE
    assert "The output species was removed." in found.signature.problems
    assert [(data.first is None, data.second is None) for data in found.data] == [(False, True), (True, False)]
    assert {data.comparison.value for data in found.data} == {"one_only"}
    assert all(data.versions_to_diff is None for data in found.data)
    f1 = next(metric for metric in found.metrics if metric.name == "f1")
    assert (f1.second, f1.delta) == (None, None)


def test_a_version_is_not_compared_with_itself_or_with_one_that_is_not_there(
    sample_stores: Stores, auditor: Actor
) -> None:
    with pytest.raises(BadInput, match="same version twice"):
        compare_versions(sample_stores, auditor, key(1), key(1))
    with pytest.raises(ModelVersionNotFound):
        compare_versions(sample_stores, auditor, key(1), key(99))


def mlmodel(folder: Path, *, requirements: str, python: str) -> Path:
    folder.mkdir()
    flavors = {"python_function": {"loader_module": "theirs", "python_version": python}}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    (folder / "requirements.txt").write_text(requirements)
    return folder


def test_foreign_versions_show_what_is_known_and_say_what_is_not(
    stores: Stores, auditor: Actor, tmp_path: Path
) -> None:
    theirs = PlainRegistry(stores.settings.tracking_uri, tmp_path / "theirs")
    huge = '[{"run_id": "x"}]' * 400
    code = {"mlflow.source.git.commit": "a" * 40, "mlflow.source.git.repoURL": "https://ana:hunter22@git.example/x"}
    first = mlmodel(tmp_path / "one", requirements="torch==2.1\nOld_Package==1\n", python="3.9.1")
    second = mlmodel(tmp_path / "two", requirements="torch==2.3\nnew\n", python="3.12.0")
    theirs.version("m", files=first, tags={"mlflow.log-model.history": huge, "team": "risk", **code})
    theirs.version("m", files=second, tags={"mlflow.log-model.history": huge + " ", "mlflow.user": "bo"})
    run_id = theirs.version("m", files=None)
    theirs.client.delete_run(theirs.run_of("m", run_id))

    found = compare_versions(stores, auditor, key(1, "m"), key(2, "m"))
    assert found.signature.verdict is Compatibility.UNKNOWN
    assert "m/1, m/2 has no signature of its inputs." in found.signature.unknown
    pins = {pair.name: (pair.first, pair.second) for pair in found.facts[Part.REQUIREMENTS]}
    assert pins == {"torch": ("==2.1", "==2.3"), "old-package": ("==1", None), "new": (None, "any version")}
    assert (pair(found, Part.ENVIRONMENT, "python").first, pair(found, Part.ENVIRONMENT, "python").second) == (
        "3.9.1",
        "3.12.0",
    )
    history = pair(found, Part.RUN_TAGS, "mlflow.log-model.history")
    assert (history.first, history.is_own, history.differs) == (huge, True, True)
    assert pair(found, Part.RUN_TAGS, "team").second is None
    assert pair(found, Part.CODE, "repository").first == "https://ana:***@git.example/x"
    assert pair(found, Part.CODE, "git commit").second is None
    assert [data.comparison.value for data in found.data] == ["unknown"], "unknown data is not the same data"
    assert any("It is not known on which rows" in note for note in found.notes)

    lost = compare_versions(stores, auditor, key(1, "m"), key(3, "m"))
    words = " ".join(lost.unknown)
    assert "was deleted in MLflow" in words
    assert "m/3: There is no artifact" in words
    assert lost.signature.unknown == ("The files of m/3 cannot be read.",)
    assert pair(lost, Part.ARTIFACT, "SHA-256 of the files").second is None


def test_a_table_that_was_replaced_since_is_not_the_same_data(sample_stores: Stores, auditor: Actor) -> None:
    run_id = str(sample_stores.models.version(key(3)).run_id)
    sample_stores.runs.log(run_id, tags={"delta.table_id": "another", "delta.version": "0"})
    found = compare_versions(sample_stores, auditor, key(1), key(3))
    assert [data.comparison.value for data in found.data] == ["unknown"]
    assert any(
        note.startswith("iris_classifier/3 did not use the present iris_training_data@0: ") for note in found.notes
    )
