"""The MLflow of the test workspace: runs of every kind, and registered models that name them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric, Param, RunTag

from tests.foreign.workspace_tables import Expected, at, milliseconds

NEVER_WAS = "f" * 32
HOSTILE_MODEL = "<img src=x onerror=alert(1)> *bold* [l](x)"
HOSTILE_EXPERIMENT = "<b>credit</b> ![x](javascript:alert(1))"
PRODUCTS = 64
_BUCKET = "s3://team-models"
_NO_SUCH = [None, None]


@dataclass
class Workspace:
    """What has been made so far. *models*: expected answers by MODEL/N; *runs*: run ids by name."""

    folder: Path
    client: MlflowClient
    tables: Mapping[str, Expected]
    experiments: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    models: dict[str, Expected] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    sources: dict[str | None, str] = field(default_factory=dict)

    @property
    def fraud(self) -> Path:
        return self.folder / "lake" / "fraud"

    def experiment(self, name: str) -> str:
        """The id of the experiment *name*. A store without a server keeps artifacts below the workspace's folder."""
        if name not in self.experiments:
            is_server = self.client.tracking_uri.startswith("http")
            place = None if is_server else (self.folder / "artifacts" / str(len(self.experiments))).as_uri()
            self.experiments[name] = self.client.create_experiment(name, artifact_location=place)
        return self.experiments[name]

    def run(
        self,
        name: str,
        *,
        start: datetime | None = None,
        experiment: str = "risk",
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        points: Iterable[Metric] = (),
        inputs: Iterable[DatasetInput] = (),
        status: str = "FINISHED",
        minutes: int = 10,
        user: str = "leo",
    ) -> str:
        """Logs one run of *minutes* and returns its id."""
        began = start or at(40, len(self.runs))
        described = {"mlflow.user": user, "mlflow.source.name": "train.py", **(tags or {})}
        run_id = str(
            self.client.create_run(
                self.experiment(experiment), start_time=milliseconds(began), tags=described, run_name=name
            ).info.run_id
        )
        moment = milliseconds(began) + 60_000
        logged = [Metric(key, value, moment, 0) for key, value in (metrics or {}).items()]
        values = [Param(key, value) for key, value in (params or {}).items()]
        self.client.log_batch(run_id, metrics=[*logged, *points], params=values)
        if listed := list(inputs):
            self.client.log_inputs(run_id, listed)
        if status != "RUNNING":
            self.client.set_terminated(run_id, status, end_time=milliseconds(began) + minutes * 60_000)
        self.runs[name] = run_id
        return run_id

    def register(
        self, model: str, run_id: str | None, *, source: str | None = None, model_id: str | None = None, **said: Any
    ) -> int:
        """Registers a version, by default of a model that its run logs, and notes what is to be said of it."""
        if model not in self.names:
            self.client.create_registered_model(model)
            self.names.add(model)
        if source is None and run_id not in self.sources:
            self.sources[run_id] = _log_model(self, run_id)
        place = source or self.sources[run_id]
        created = self.client.create_model_version(model, place, run_id, model_id=model_id, await_creation_for=0)
        version = int(created.version)
        self.models[f"{model}/{version}"] = {"run_id": run_id, **said}
        return version


def build_mlflow(folder: Path, tracking_uri: str, tables: Mapping[str, Expected]) -> Expected:
    """Writes experiments, runs and models to *tracking_uri*. Returns what is to be said of them.

    `models`: by MODEL/N {run_id, data: [[table, version], …] of the training data, words: in the findings, …}.
    `impact`, `evaluated`: by TABLE@N the model versions that were trained on the data version, or evaluated with it.
    `unread`: the versions whose training data cannot be known. `runs`: run ids by name.
    """
    workspace = Workspace(folder, MlflowClient(tracking_uri), tables)
    for build in (_claims, _inputs, _unresolved, _identity, _lost, _stages, _checkpoints, _metrics, _nested, _products):
        build(workspace)
    _scorer(workspace)
    known = {key: said for key, said in workspace.models.items() if not said.get("unread")}
    return {
        "models": workspace.models,
        "impact": _by_data(known, "data"),
        "evaluated": _by_data(known, "evaluation"),
        "unread": sorted(
            key
            for key, said in workspace.models.items()
            if said.get("unread") or any(version is None for _, version in said["data"])
        ),
        "runs": workspace.runs,
        "experiments": sorted(workspace.experiments),
    }


def _by_data(models: Mapping[str, Expected], use: str) -> dict[str, list[str]]:
    """The model versions of each data version in *use*."""
    found: dict[str, list[str]] = {}
    for key, said in models.items():
        for table, version in said.get(use, ()):
            if version is not None:
                found.setdefault(f"{table}@{version}", []).append(key)
    return {data: sorted(keys) for data, keys in found.items()}


def delta_input(
    name: str,
    digest: str,
    *,
    context: str = "training",
    path: str | None = None,
    version: int | None = None,
    **more: Any,
) -> DatasetInput:
    """A dataset input with the source that MLflow writes for a Delta table; version 0 is left out, as MLflow does."""
    source: dict[str, Any] = {"path": path} if path else {"delta_table_name": name}
    if version:
        source["delta_table_version"] = version
    described = Dataset(name, digest, "delta_table", json.dumps({**source, **more}), profile='{"num_rows": 200}')
    return DatasetInput(described, [InputTag("mlflow.data.context", context)])


def _claims(made: Workspace) -> None:
    """One data version, fraud@2, named in each way that teams have."""
    path, table_id = str(made.fraud), made.tables["fraud"]["table_id"]
    spark = f"path=file:{path},version=2,format=delta"
    ways: dict[str, Expected] = {
        "name": {"tags": {"delta.table": "fraud", "delta.version": "2", "delta.table_id": table_id}},
        "path": {"tags": {"delta.table": path, "delta.version": "2"}},
        "spark": {"tags": {"sparkDatasourceInfo": spark}},
        "input_uri": {"inputs": [delta_input("file", "d-uri", path=made.fraud.as_uri(), version=2)]},
        "input_path": {"inputs": [delta_input("plain", "d-path", path=f"{path}/", version=2)]},
        "id": {"tags": {"delta.table": "s3a://lake/fraud", "delta.version": "2", "delta.table_id": table_id}},
        "dbfs": {"tags": {"sparkDatasourceInfo": "path=dbfs:/mnt/risk/fraud,version=2,format=delta"}},
        "s3a": {"inputs": [delta_input("s3", "d-s3", path="s3a://risk-lake/fraud", version=2)]},
        "catalog": {"inputs": [delta_input("main.risk.fraud", "d-catalog", version=2)]},
        "params": {"params": {"data_path": path, "data_version": "2"}},
        "param_v": {"params": {"data_path": "fraud", "DataV": "v2"}},
        "dvc": {"tags": {"dvc.rev": "v2", "dvc.path": "fraud"}},
    }
    for way, logged in ways.items():
        run_id = made.run(f"by {way}", metrics={"accuracy": 0.9}, **logged)
        needs = {"dbfs": "address", "s3a": "address", "catalog": "address"}
        made.register(f"by_{way}", run_id, data=[["fraud", 2]], needs=needs.get(way))
    run_id = made.run(
        "by blank", tags={"delta.table": (made.folder / "warehouse" / "customer churn").as_uri(), "delta.version": "2"}
    )
    made.register("by_blank", run_id, data=[["churn", 2]])


def _inputs(made: Workspace) -> None:
    """Dataset inputs: several for training, one for evaluation, a version 0 that MLflow lost, and a mixed-up source."""
    fraud, churn = str(made.fraud), str(made.folder / "warehouse" / "customer churn")
    several = [
        delta_input("fraud", "in-1", path=fraud, version=2),
        delta_input("churn", "in-2", path=churn, version=1),
        delta_input("fraud holdout", "in-3", path=fraud, version=3, context="evaluation"),
    ]
    run_id = made.run("many inputs", inputs=several, metrics={"accuracy": 0.91})
    made.register("inputs_many", run_id, data=[["fraud", 2], ["churn", 1]], evaluation=[["fraud", 3]])
    only = [delta_input("fraud test", "in-4", path=fraud, version=2, context="evaluation")]
    run_id = made.run("evaluation only", inputs=only)
    made.register("inputs_evaluation", run_id, data=[_NO_SUCH], evaluation=[["fraud", 2]])
    run_id = made.run("version 0", inputs=[delta_input("fraud first", "in-5", path=fraud, version=0)])
    made.register("inputs_version_0", run_id, data=[["fraud", None]], words=["version 0"])
    # MLflow keeps the first source per name and digest in an experiment: the second run shows version 1, not 2.
    for version in (1, 2):
        name = f"mixed up {version}"
        same = [delta_input("fraud same", "in-6", path=fraud, version=version)]
        run_id = made.run(
            name, experiment="mixed", inputs=same, tags={"delta.table": "fraud", "delta.version": str(version)}
        )
        made.register("inputs_mixed_up", run_id, data=[["fraud", version]])


def _unresolved(made: Workspace) -> None:
    """Claims of tables that are registered nowhere: nothing opens them. And claims that contradict each other."""
    secret = str(made.folder / "elsewhere" / "secret")
    for model, claim in (
        ("unregistered_s3", {"delta.table": "s3://169.254.169.254/latest", "delta.version": "2"}),
        ("unregistered_path", {"delta.table": secret, "delta.version": "0"}),
        ("unregistered_spark", {"sparkDatasourceInfo": f"path=file:{secret},version=0,format=delta"}),
    ):
        run_id = made.run(model, tags=claim, metrics={"accuracy": 0.9})
        address = claim.get("delta.table", f"file:{secret}")
        said = ["not registered here", "MODELLEDGER_TABLES"]
        made.register(model, run_id, data=[[address, 2 if "s3" in model else 0]], unread=True, words=said)
    tags = {"delta.table": "fraud", "delta.version": "2"}
    run_id = made.run("contradiction", tags=tags, params={"DataV": "1"}, metrics={"accuracy": 0.9})
    made.register("contradiction", run_id, data=[["fraud", 2]], words=["1"])
    run_id = made.run("no claim", metrics={"accuracy": 0.9})
    made.register("no_claim", run_id, data=[_NO_SUCH])


def _identity(made: Workspace) -> None:
    """The table that trained the model is not the one that is there today."""
    former = made.tables["customers"]["former_table_id"]
    tags = {"delta.table": "customers", "delta.version": "1", "delta.table_id": former}
    run_id = made.run("replaced table", start=at(30), tags=tags, metrics={"accuracy": 0.9})
    made.register("identity_replaced", run_id, data=[["customers", 1]], contradicts=["data_readable"])
    tags = {"delta.table": "stale", "delta.version": "1"}
    run_id = made.run("trained before the commit", start=at(50), tags=tags, metrics={"accuracy": 0.9})
    made.register("identity_late", run_id, data=[["stale", 1]], contradicts=["data_readable"])
    tags = {"delta.table": "fraud", "delta.version": "1"}
    rows = {"TrainRows": 500.0, "TestRows": 50.0, "accuracy": 0.9}
    run_id = made.run("other row counts", tags=tags, metrics=rows)
    made.register("identity_rows", run_id, data=[["fraud", 1]], contradicts=["data_readable"])


def _lost(made: Workspace) -> None:
    """Versions without a run, with an erased one, with a deleted one; deleted versions; a foreign artifact store."""
    made.register("no_run", None, source=f"{_BUCKET}/no_run", data=[_NO_SUCH], run="the version names no run")
    made.register("erased_run", NEVER_WAS, source=f"{_BUCKET}/erased", data=[_NO_SUCH], run="does not exist")
    tags = {"delta.table": "fraud", "delta.version": "0"}
    run_id = made.run("deleted", tags=tags, metrics={"accuracy": 0.5})
    made.register("deleted_run", run_id, data=[["fraud", 0]], run="deleted")
    made.client.delete_run(run_id)
    run_id = made.run("gaps", metrics={"accuracy": 0.5})
    for _ in range(4):
        made.register("gaps", run_id, data=[_NO_SUCH])
    for version in ("2", "4"):
        made.client.delete_model_version("gaps", version)
        del made.models[f"gaps/{version}"]
    made.register(HOSTILE_MODEL, made.run(HOSTILE_MODEL, experiment=HOSTILE_EXPERIMENT), data=[_NO_SUCH])
    wild = made.run("wild tags", experiment=HOSTILE_EXPERIMENT, params={"note": "=cmd|' /C calc'!A0"})
    made.client.log_batch(wild, tags=[RunTag("note", "<script>alert(1)</script> [t](javascript:x)")])


def _stages(made: Workspace) -> None:
    """Stages and aliases as a team set them, with names of its own."""
    tags = {"delta.table": "fraud", "delta.version": "1", "delta.table_id": made.tables["fraud"]["table_id"]}
    for accuracy in (0.7, 0.8, 0.85):
        run_id = made.run(f"scoring {accuracy}", tags=tags, metrics={"accuracy": accuracy})
        made.register("credit_limit", run_id, data=[["fraud", 1]])
    for version, stage in (("1", "Archived"), ("2", "Production"), ("3", "Staging")):
        made.client.transition_model_version_stage("credit_limit", version, stage)
        made.models[f"credit_limit/{version}"]["stage"] = stage
    for version, alias in (("2", "champion"), ("3", "challenger"), ("3", "nightly")):
        made.client.set_registered_model_alias("credit_limit", alias, version)
        made.models[f"credit_limit/{version}"].setdefault("aliases", []).append(alias)
    made.client.set_model_version_tag("credit_limit", "2", "validated by", "<b>ana</b>")


def _checkpoints(made: Workspace) -> None:
    """Two checkpoints of one run, each a logged model with metrics of its own."""
    tags = {"delta.table": "fraud", "delta.version": "1"}
    run_id = made.run("two checkpoints", tags=tags, status="RUNNING")
    experiment = made.experiment("risk")
    for step, accuracy in ((1, 0.81), (2, 0.93)):
        logged = made.client.create_logged_model(experiment, name=f"checkpoint-{step}", source_run_id=run_id)
        made.client.log_metric(run_id, "accuracy", accuracy, step=step, model_id=logged.model_id)
        made.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step)])
        made.client.finalize_logged_model(logged.model_id, "READY")
        source = f"models:/{logged.model_id}"
        made.register(
            "checkpoints",
            run_id,
            source=source,
            model_id=logged.model_id,
            data=[["fraud", 1]],
            metrics={"accuracy": accuracy},
        )
    made.client.set_terminated(run_id, "FINISHED", end_time=milliseconds(at(41)))


def _metrics(made: Workspace) -> None:
    """Losses by the names that libraries give them, numbers that are none, points after the end, curves."""
    tags = {"delta.table": "fraud", "delta.version": "1"}
    losses = ("logloss", "validation_0-logloss", "val/loss", "valid_0-l2", "rmsle", "smape", "cross_entropy")
    losses += ("brier_score", "latency_ms")
    for value in (0.2, 2.0):
        run_id = made.run(f"losses {value}", tags=tags, metrics=dict.fromkeys(losses, value) | {"accuracy": 0.9})
        made.register("losses", run_id, data=[["fraud", 1]], metrics=dict.fromkeys(losses, value))
    made.client.transition_model_version_stage("losses", "1", "Production")
    made.models["losses/1"]["stage"] = "Production"
    for value in (3.0, 4.0):
        run_id = made.run(f"unknown metric {value}", tags=tags, metrics={"uplift_index": value})
        made.register("unknown_direction", run_id, data=[["fraud", 1]])
    made.client.transition_model_version_stage("unknown_direction", "1", "Production")
    made.models["unknown_direction/1"]["stage"] = "Production"
    odd = {"accuracy": math.nan, "f1": math.inf, "recall": -math.inf}
    made.register("not_a_number", made.run("not a number", tags=tags, metrics=odd), data=[["fraud", 1]], metrics=odd)
    start = at(42)
    late = [Metric("accuracy", 0.6, milliseconds(start), 0), Metric("accuracy", 0.99, milliseconds(at(43)), 0)]
    run_id = made.run("changed afterwards", start=start, tags=tags, points=late)
    made.register("changed_afterwards", run_id, data=[["fraud", 1]], metrics={"accuracy": 0.99})
    curve = [Metric("loss", 1 / (step + 1), milliseconds(start) + step, step) for step in range(60)]
    system = [
        Metric("system/cpu_utilization_percentage", 50.0 + step % 7, milliseconds(start) + step, step)
        for step in range(20)
    ]
    made.run("curves", start=start, experiment="curves", points=[*curve, *system], status="RUNNING")
    made.run("failed", experiment="curves", status="FAILED", user="ada")


def _nested(made: Workspace) -> None:
    """A search: a parent with three children, the best of which is registered."""
    parent = made.run("grid search", experiment="search", metrics={"best_accuracy": 0.92}, minutes=60)
    tags = {"delta.table": "fraud", "delta.version": "1", "mlflow.parentRunId": parent}
    for depth, accuracy in ((2, 0.88), (4, 0.92), (8, 0.90)):
        name = f"depth {depth}"
        run_id = made.run(
            name, experiment="search", tags=tags, params={"depth": str(depth)}, metrics={"accuracy": accuracy}
        )
        if accuracy == 0.92:
            made.register("searched", run_id, data=[["fraud", 1]])


def _products(made: Workspace) -> None:
    """Many models of one version each, all from one run that read fraud@1 by Spark."""
    spark = f"path=file:{made.fraud},version=1,format=delta"
    run_id = made.run("all products", experiment="products", tags={"sparkDatasourceInfo": spark}, user="ada")
    for number in range(PRODUCTS):
        made.register(f"product_{number:02}", run_id, source=f"{_BUCKET}/{number}/model", data=[["fraud", 1]])


def _scorer(made: Workspace) -> None:
    """Version 1 is in Production, version 2 was trained on more rows and is better. Each has an artifact of its own."""
    for version, precision in ((1, 0.9), (2, 0.95)):
        rows = made.tables["fraud"]["rows_of"][str(version)]
        kpis = {"precision": precision, "f1": precision, "TrainRows": rows * 0.8, "TestRows": rows * 0.2}
        table_id = made.tables["fraud"]["table_id"]
        tags = {"delta.table": "fraud", "delta.version": str(version), "delta.table_id": table_id}
        run_id = made.run(f"fraud scorer {version}", tags=tags, metrics=kpis)
        source = _log_model(made, run_id)
        made.register(
            "fraud_scorer", run_id, source=source, data=[["fraud", version]], metrics={"precision": precision}
        )
    made.client.transition_model_version_stage("fraud_scorer", "1", "Production")
    made.models["fraud_scorer/1"]["stage"] = "Production"


def _log_model(made: Workspace, run_id: str) -> str:
    """Logs a small model of scikit-learn, saved by skops, as the artifact of a run; returns its source."""
    saved = made.folder / "saved_model"
    if not saved.exists():
        import mlflow.sklearn
        import numpy as np
        import pandas as pd
        from mlflow.models import infer_signature
        from sklearn.linear_model import LogisticRegression

        amounts = pd.DataFrame({"amount": np.arange(1.0, 102.0)})
        model = LogisticRegression().fit(amounts, amounts["amount"] > 50)
        mlflow.sklearn.save_model(
            model,
            str(saved),
            signature=infer_signature(amounts, model.predict(amounts)),
            pip_requirements=["scikit-learn"],
            serialization_format="skops",
        )
    made.client.log_artifacts(run_id, str(saved), "model")
    return f"{made.client.get_run(run_id).info.artifact_uri}/model"
