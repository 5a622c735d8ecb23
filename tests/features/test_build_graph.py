"""Lineage on real stores: back from a model or a batch, forward from a data version, and what was lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deltalake import DeltaTable
from mlflow import MlflowClient

from core.entities import Actor, Lineage, ModelVersionKey, NodeKind, Stage
from core.errors import BatchNotFound, ModelVersionNotFound, VersionNotFound
from core.features.lineage.build_graph import (
    lineage_of_batch,
    lineage_of_every_version,
    lineage_of_model,
)
from core.features.lineage.impact import impact_of_version
from core.features.lineage.origin import origin_of_model
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.scoring.score import score
from core.features.stores import Stores

IRIS = "iris_training_data"


def key(version: int) -> ModelVersionKey:
    return ModelVersionKey(model="iris_classifier", version=version)


def labels(graph: Lineage, kind: NodeKind) -> list[str]:
    return [node.subject for node in graph.nodes if node.kind is kind]


def test_model_version_leads_back_to_its_data_and_forward_to_its_batches(
    sample_stores: Stores, scientist: Actor, manager: Actor, auditor: Actor
) -> None:
    asked = request_promotion(
        sample_stores, scientist, model="iris_classifier", version=1, to=Stage.PRODUCTION, reason="first"
    )
    approve(sample_stores, manager, asked.id, reason="fine")
    batch = score(sample_stores, scientist, model="iris_classifier", table=IRIS, version=2, into="predictions")

    graph = lineage_of_model(sample_stores, auditor, key(1))

    assert graph.root == "model iris_classifier/1"
    assert labels(graph, NodeKind.MODEL) == ["iris_classifier/1"]
    assert labels(graph, NodeKind.COMMIT) == [f"{IRIS}@0", f"{IRIS}@2"]
    assert labels(graph, NodeKind.DECISION) == [asked.id]
    assert labels(graph, NodeKind.BATCH) == [batch.batch_id]
    ends = {(edge.source.split()[0], edge.target.split()[0]) for edge in graph.edges}
    assert {("commit", "run"), ("run", "model"), ("model", "decision"), ("model", "batch"), ("commit", "batch")} <= ends
    assert not [node for node in graph.nodes if node.problem]


def test_batch_leads_back_to_model_run_and_both_data_versions(
    sample_stores: Stores, scientist: Actor, auditor: Actor
) -> None:
    batch = score(
        sample_stores, scientist, model="iris_classifier", model_version=3, table=IRIS, version=0, into="predictions"
    )
    graph = lineage_of_batch(sample_stores, auditor, batch.batch_id)
    assert graph.root == f"batch {batch.batch_id}"
    assert labels(graph, NodeKind.MODEL) == ["iris_classifier/3"]
    assert sorted(labels(graph, NodeKind.COMMIT)) == [f"{IRIS}@0", f"{IRIS}@2"]
    with pytest.raises(BatchNotFound):
        lineage_of_batch(sample_stores, auditor, "none")


def test_data_version_zero_leads_forward_to_models_and_batches(
    sample_stores: Stores, scientist: Actor, auditor: Actor
) -> None:
    of_model = score(
        sample_stores, scientist, model="iris_classifier", model_version=1, table=IRIS, version=1, into="predictions"
    )
    of_data = score(
        sample_stores, scientist, model="iris_classifier", model_version=3, table=IRIS, version=0, into="predictions"
    )
    impact = impact_of_version(sample_stores, auditor, IRIS, 0)
    graph = impact.graph
    assert (impact.unresolved, impact.evaluated) == ((), ())
    assert "iris_classifier/1" in labels(graph, NodeKind.MODEL)
    assert "iris_classifier/2" not in labels(graph, NodeKind.MODEL)
    assert set(labels(graph, NodeKind.BATCH)) == {of_model.batch_id, of_data.batch_id}
    with pytest.raises(VersionNotFound):
        impact_of_version(sample_stores, auditor, IRIS, 99)


def test_deleted_run_and_vacuumed_data_are_problems_not_errors(sample_stores: Stores, auditor: Actor) -> None:
    version = sample_stores.models.version(key(1))
    MlflowClient(sample_stores.settings.tracking_uri).delete_run(version.run_id)
    table = sample_stores.catalog.resolve(IRIS)
    for file in DeltaTable(table.uri, version=0).file_uris():
        Path(file).unlink()

    graph = lineage_of_model(sample_stores, auditor, key(1))
    problems = {node.kind: node.problem for node in graph.nodes if node.problem}
    assert "deleted" in problems[NodeKind.RUN]
    assert "files vacuumed" in problems[NodeKind.COMMIT]

    origin = origin_of_model(sample_stores, auditor, key(1))
    assert [finding.split(":")[0] for finding in origin.data[0].findings] == ["files vacuumed"]


def test_model_version_that_is_not_there_is_named(sample_stores: Stores, auditor: Actor) -> None:
    with pytest.raises(ModelVersionNotFound, match="99"):
        lineage_of_model(sample_stores, auditor, key(99))


def test_all_versions_cost_no_more_registry_calls_than_one(
    sample_stores: Stores, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("search_model_versions", "search_runs", "get_run", "get_model_version", "get_registered_model"):
        real = getattr(MlflowClient, name)

        def counted(
            self: MlflowClient, *args: object, _real: object = real, _name: str = name, **more: object
        ) -> object:
            calls.append(_name)
            return _real(self, *args, **more)  # type: ignore[operator]

        monkeypatch.setattr(MlflowClient, name, counted)

    @contextmanager
    def counting() -> Iterator[list[str]]:
        calls.clear()
        yield calls

    with counting() as one:
        graph = lineage_of_every_version(sample_stores, auditor, "diabetes_progression")
        of_two = len(one)
    assert len(labels(graph, NodeKind.MODEL)) == 2
    with counting() as three:
        graph = lineage_of_every_version(sample_stores, auditor, "iris_classifier")
        of_three = len(three)
    assert len(labels(graph, NodeKind.MODEL)) == 3
    assert of_three <= of_two
