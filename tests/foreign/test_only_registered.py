"""Nothing is opened because MLflow or a batch's metadata says so: only registered tables reach the Delta engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, write_deltalake
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag

from core.entities import Actor, ModelVersionKey, NodeKind, Outcome, Reproduced, Stage, Table
from core.errors import TableNotFound
from core.features.data.browse import list_tables
from core.features.evidence.collect import collect_evidence
from core.features.lineage.build_graph import lineage_of_batch
from core.features.lineage.impact import impact_of_version
from core.features.lineage.origin import origin_of_model
from core.features.lineage.trained_on import versions_trained
from core.features.monitoring.overview import overview
from core.features.promotion.evaluate_gates import evaluate_gates
from core.features.runs.compare import compare_runs
from core.features.runs.models import list_models, show_model_version
from core.features.runs.search import RunQuery, search_runs
from core.features.stores import Stores
from core.features.training.reproduce import reproduce

ROWS = pa.table({"id": [1, 2, 3], "amount": [1.0, 2.0, 3.0]})


class Recording:
    """A Delta engine that notes the address of every table that it is asked about."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.opened: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._engine, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            self.opened |= {item.uri for item in (*arguments, *options.values()) if isinstance(item, Table)}
            return value(*arguments, **options)

        return call


@pytest.fixture
def elsewhere(tmp_path: Path) -> str:
    """A Delta table that is there and is not registered."""
    place = str(tmp_path / "elsewhere" / "secret")
    write_deltalake(place, ROWS)
    write_deltalake(place, ROWS, mode="append")
    return place


@pytest.fixture
def watched(stores: Stores) -> Iterator[Stores]:
    """Stores whose engine is a Recording; afterwards only registered tables may have been opened."""
    write_deltalake(str(stores.settings.home / "tables" / "loans"), ROWS)
    write_deltalake(str(stores.settings.home / "tables" / "loans"), ROWS, mode="append")
    recording = Recording(stores.engine)
    yield replace(stores, engine=recording)  # type: ignore[arg-type]
    assert recording.opened <= {table.uri for table in stores.catalog.tables()}


def register(stores: Stores, model: str, **logged: Any) -> ModelVersionKey:
    """Register a version of a run with the given tags, params and dataset sources."""
    client = MlflowClient(stores.settings.tracking_uri)
    experiment = client.get_experiment_by_name("foreign")
    place = (stores.settings.home / "artifacts" / "foreign").as_uri()
    experiment_id = experiment.experiment_id if experiment else client.create_experiment("foreign", place)
    run = client.create_run(experiment_id, tags={"mlflow.user": "ann", **logged.get("tags", {})}, run_name=model)
    for name, value in {"estimator": "logistic_regression", **logged.get("params", {})}.items():
        client.log_param(run.info.run_id, name, value)
    for number, source in enumerate(logged.get("sources", ())):
        dataset = Dataset(f"{model}{number}", f"digest{number}", "delta_table", json.dumps(source))
        client.log_inputs(run.info.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    client.set_terminated(run.info.run_id)
    client.create_registered_model(model)
    client.create_model_version(model, f"{run.info.artifact_uri}/model", run.info.run_id)
    return ModelVersionKey(model=model, version=1)


def read_lists(stores: Stores, actor: Actor) -> None:
    """Ask every service that reads the data of all models and runs."""
    list_models(stores, actor)
    overview(stores, actor)
    runs = search_runs(stores, actor, RunQuery(table="loans", version=1)).runs
    compare_runs(stores, actor, [run.run_id for run in (*runs, *search_runs(stores, actor).runs)])
    versions_trained(stores, actor, "loans")
    impact_of_version(stores, actor, "loans", 1)


SPELLINGS = (
    "{path}",
    "file://{path}",
    "s3://no-such-bucket/loans",
    "s3a://169.254.169.254/latest",
    "http://169.254.169.254/latest/meta-data",
    "abfss://lake@account.dfs.core.windows.net/loans",
    "/etc",
    "../../etc",
)


@pytest.mark.parametrize("way", ["tag", "spark", "input"])
def test_address_that_is_not_registered_is_not_opened(
    watched: Stores, elsewhere: str, auditor: Actor, scientist: Actor, way: str
) -> None:
    keys: dict[str, ModelVersionKey] = {}
    for number, spelling in enumerate(SPELLINGS):
        claimed = spelling.format(path=elsewhere)
        logged: dict[str, dict[str, Any]] = {
            "tag": {"tags": {"delta.table": claimed, "delta.version": "1", "delta.table_id": "x"}},
            "spark": {"tags": {"sparkDatasourceInfo": f"path={claimed},version=1,format=delta"}},
            "input": {"sources": [{"path": claimed, "delta_table_version": 1}]},
        }
        keys[claimed] = register(watched, f"foreign{number}", **logged[way])
    watched.models.set_stages("foreign0", {1: Stage.PRODUCTION})
    read_lists(watched, auditor)
    for claimed, key in keys.items():
        (source,) = origin_of_model(watched, auditor, key).data
        assert (source.claimed, source.version, source.key) == (claimed, 1, None)
        assert "not registered here" in source.findings[-1]
        assert "MODELLEDGER_TABLES" in source.findings[-1]
        gates = {gate.name: gate for gate in evaluate_gates(watched, key, Stage.PRODUCTION).gates}
        for name in ("data version recorded", "data still readable"):
            assert not gates[name].passed
            assert "not registered here" in gates[name].detail
        again = reproduce(watched, scientist, key)
        assert again.verdict is Reproduced.IMPOSSIBLE
        assert "not registered here" in again.why
    show_model_version(watched, auditor, keys[elsewhere])
    collect_evidence(watched, auditor, keys[elsewhere])


def test_one_unregistered_training_input_beside_a_registered_one_fails_the_gates(
    watched: Stores, elsewhere: str, auditor: Actor
) -> None:
    loans = {"path": str(watched.settings.home / "tables" / "loans"), "delta_table_version": 1}
    key = register(watched, "both", sources=[loans, {"path": elsewhere, "delta_table_version": 1}])
    assert [str(source) for source in origin_of_model(watched, auditor, key).data] == ["loans@1", f"{elsewhere}@1"]
    gates = {gate.name: gate for gate in evaluate_gates(watched, key, Stage.PRODUCTION).gates}
    assert not gates["data version recorded"].passed
    assert elsewhere in gates["data version recorded"].detail
    alone = register(watched, "alone", sources=[loans])
    gates = {gate.name: gate for gate in evaluate_gates(watched, alone, Stage.PRODUCTION).gates}
    assert gates["data version recorded"].passed
    assert gates["data still readable"].passed


def test_data_that_a_batch_names_is_not_opened(
    watched: Stores, elsewhere: str, auditor: Actor, scientist: Actor
) -> None:
    """Whoever may write to a prediction table writes the metadata of its commits."""
    key = register(watched, "foreign", tags={"delta.table": "loans", "delta.version": "1"})
    batch = {
        "batch_id": "b1",
        "model": "foreign",
        "model_version": 1,
        "run_id": "r",
        "source_table": elsewhere,
        "source_version": 1,
        "rows": 3,
        "time": "2026-11-28T10:00:00+00:00",
        "actor": "mallory",
    }
    write_deltalake(
        str(watched.settings.home / "tables" / "predictions"),
        ROWS,
        commit_properties=CommitProperties(custom_metadata={"modelledger.batch": json.dumps(batch)}),
    )
    watched.audit.append(scientist, "prediction.score", str(key), Outcome.SUCCESS, after={"into": "predictions@0"})
    graph = lineage_of_batch(watched, auditor, "b1")
    problems = [node.problem or "" for node in graph.nodes if node.kind is NodeKind.COMMIT and elsewhere in node.label]
    assert len(problems) == 1
    assert "not registered here" in problems[0]


def test_impact_finds_every_spelling_and_says_what_it_cannot_judge(watched: Stores, auditor: Actor) -> None:
    place = str(watched.settings.home / "tables" / "loans")
    register(watched, "named", tags={"delta.table": "loans", "delta.version": "1"})
    register(watched, "by_path", tags={"sparkDatasourceInfo": f"path=file:{place},version=1,format=delta"})
    register(watched, "by_input", sources=[{"path": f"file://{place}/", "delta_table_version": 1}])
    register(watched, "other_version", sources=[{"path": place, "delta_table_version": 7}])
    register(watched, "version_0", sources=[{"path": place}])
    register(watched, "elsewhere", tags={"delta.table": "s3://no-such-bucket/loans", "delta.version": "1"})
    register(watched, "contradicted", tags={"delta.table": "loans", "delta.version": "0"}, params={"DataV": "1"})
    register(watched, "silent")
    MlflowClient(watched.settings.tracking_uri).create_registered_model("no_run")
    MlflowClient(watched.settings.tracking_uri).create_model_version("no_run", "s3://no-such-bucket/model")

    for spelling in ("loans", place, f"file:{place}/"):
        impact = impact_of_version(watched, auditor, spelling, 1)
        models = {node.subject for node in impact.graph.nodes if node.kind is NodeKind.MODEL}
        assert models == {"named/1", "by_path/1", "by_input/1"}
    reasons = {str(entry.key): entry.why for entry in impact.unresolved}
    assert set(reasons) == {"version_0/1", "elsewhere/1", "contradicted/1", "silent/1", "no_run/1"}
    assert "version 0" in reasons["version_0/1"]
    assert "not registered here" in reasons["elsewhere/1"]
    assert "names version 1" in reasons["contradicted/1"]
    assert "names no run" in reasons["no_run/1"]
    assert impact.versions == 9


def test_user_may_ask_about_a_path_that_is_not_registered(stores: Stores, elsewhere: str, auditor: Actor) -> None:
    key = register(stores, "foreign", sources=[{"path": f"file:{elsewhere}/", "delta_table_version": 1}])
    impact = impact_of_version(stores, auditor, elsewhere, 1)
    assert [node.subject for node in impact.graph.nodes if node.kind is NodeKind.MODEL] == [str(key)]
    assert list_tables(stores, auditor) == ()
    with pytest.raises(TableNotFound, match="'nothing'"):
        impact_of_version(stores, auditor, "nothing", 1)
