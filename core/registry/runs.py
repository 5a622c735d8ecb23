"""Runs: MLflow's tracking store, read in pages and written by the training service."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from core.entities import Artifact, MetricPoint, Run, RunStatus, TableVersion
from core.errors import ArtifactNotFound, ArtifactOutside, BadInput, RunNotFound
from core.redact import redactor
from core.registry import artifact_files
from core.registry.connection import Connection
from core.registry.from_mlflow import to_point, to_run
from core.registry.run_cache import RunCache

# One search takes this many run ids; a model of 1,000 versions needs one.
_IDS_PER_CALL = 5_000
_PARAMS_PER_CALL = 100
_REASON_TAG = "modelledger.reason"


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """Some runs, newest first; *next_token* asks for those after them and is None at the end."""

    runs: tuple[Run, ...]
    next_token: str | None


class Runs:
    """The tracking store at *tracking_uri*. Every method raises RegistryUnavailable within about *timeout_s*."""

    def __init__(
        self,
        tracking_uri: str,
        timeout_s: float = 5.0,
        artifact_root: Path | None = None,
        closed: Sequence[Path] = (),
        redact: Callable[[str], str] | None = None,
    ) -> None:
        self._connection = Connection(tracking_uri, timeout_s=timeout_s, artifact_root=artifact_root, closed=closed)
        self._cache = RunCache()
        self._redact = redact or redactor()
        self._names: dict[str, str] = {}

    # ------------------------------------------------------------------------------------------ reading

    def experiments(self) -> tuple[str, ...]:
        """Names of the experiments that are not deleted."""
        self._experiment_names()
        with self._connection.answering() as client:
            return tuple(sorted(experiment.name for experiment in client.search_experiments(max_results=1000)))

    def page(
        self,
        experiments: Sequence[str] = (),
        text: str = "",
        *,
        data: TableVersion | None = None,
        table: str | None = None,
        status: RunStatus | None = None,
        limit: int = 100,
        token: str | None = None,
    ) -> RunPage:
        """Runs newest first, of *experiments* (all if empty) whose name holds *text*; one page, never all.

        *table* or *data* keep those trained on it. Raises BadInput for a token that is not ours.
        """
        names = self._experiment_names()
        wanted = [key for key, name in names.items() if not experiments or name in experiments]
        if not wanted:
            return RunPage(runs=(), next_token=None)
        conditions = []
        if text.strip():
            conditions.append(f"attributes.run_name ILIKE {_quoted(f'%{text.strip()}%')}")
        if data is not None:
            table = data.table
            conditions.append(f"tags.`delta.version` = '{data.version}'")
        if table is not None:
            conditions.append(f"tags.`delta.table` = {_quoted(table)}")
        if status is not None:
            conditions.append(f"attributes.status = '{status.value.upper()}'")
        with self._connection.answering() as client:
            found = client.search_runs(
                wanted,
                " AND ".join(conditions),
                max_results=limit,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
        token = found.token.decode() if isinstance(found.token, bytes) else found.token
        return RunPage(runs=tuple(to_run(run, names) for run in found), next_token=token or None)

    def get(self, run_id: str) -> Run:
        """One run as it is now, a deleted one too. Raises RunNotFound."""
        missing = RunNotFound(f"There is no run {run_id!r} in MLflow; pick one from the list of runs.", run_id=run_id)
        if not _is_run_id(run_id):
            raise missing
        with self._connection.answering(missing) as client:
            found = client.get_run(run_id)
        return to_run(found, self._experiment_names(needed=(found.info.experiment_id,)))

    def get_many(self, run_ids: Iterable[str], *, fresh: bool = False) -> dict[str, Run]:
        """Runs by id, deleted ones too; ids that never existed are left out. A constant number of calls.

        An ended run may come from memory for up to a minute after somebody changed it behind a server
        (an embedded store is looked at each time). *fresh* asks MLflow: gates and verdicts do.
        """
        wanted = list(dict.fromkeys(run_id for run_id in run_ids if _is_run_id(run_id)))
        stamp = self._connection.stamp()
        known = {} if fresh else self._cache.known(wanted, stamp)
        missing = [run_id for run_id in wanted if run_id not in known]
        if missing:
            read = self._search(missing)
            self._cache.keep(missing, read, stamp)
            known.update({run_id: read.get(run_id) for run_id in missing})
        return {run_id: run for run_id in wanted if (run := known[run_id]) is not None}

    def metric_history(self, run_id: str, key: str) -> tuple[MetricPoint, ...]:
        """Every logged value of a metric, oldest first. A point later than the run's end was added afterwards."""
        with self._connection.answering(RunNotFound(f"There is no run {run_id!r}.", run_id=run_id)) as client:
            points = client.get_metric_history(run_id, key)
        return tuple(sorted((to_point(point) for point in points), key=lambda point: (point.timestamp, point.step)))

    def artifacts(self, run_id: str, below: str = "") -> tuple[Artifact, ...]:
        """Files and folders of a run, one level. Empty where it logged none."""
        try:
            uri = self._artifact_uri(run_id)
            return artifact_files.list_files(self._connection, uri, lambda: (uri,), below=below)
        except ArtifactOutside:
            raise
        except ArtifactNotFound:
            if below:
                raise
            return ()

    def read_artifact(self, run_id: str, path: str) -> bytes:
        """One small file of a run. Raises ArtifactNotFound, BadInput (too large)."""
        uri = self._artifact_uri(run_id)
        with tempfile.TemporaryDirectory() as folder:
            return artifact_files.read_bytes(self._connection, uri, lambda: (uri,), path, Path(folder))

    # ------------------------------------------------------------------------------------------ writing

    def start(self, experiment: str, name: str, user: str, tags: Mapping[str, str]) -> str:
        """Starts a run and returns its id; makes the experiment where it is new."""
        experiment_id = self._experiment(experiment)
        self._names[experiment_id] = experiment
        with self._connection.answering() as client:
            run = client.create_run(
                experiment_id, run_name=name, tags={"mlflow.user": user, "mlflow.source.type": "JOB", **tags}
            )
        return str(run.info.run_id)

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Logs params (each once and for all), metrics (NaN and infinities too) and tags."""
        with self._connection.answering(RunNotFound(f"There is no run {run_id!r}.", run_id=run_id)) as client:
            from mlflow.entities import Metric, Param, RunTag

            now = int(time.time() * 1000)
            values = [Param(name, str(value)) for name, value in (params or {}).items()]
            points = [Metric(name, float(value), now, 0) for name, value in (metrics or {}).items()]
            marks = [RunTag(name, str(value)) for name, value in (tags or {}).items()]
            for start in range(0, max(len(values), 1), _PARAMS_PER_CALL):
                client.log_batch(
                    run_id,
                    params=values[start : start + _PARAMS_PER_CALL],
                    metrics=points if start == 0 else (),
                    tags=marks if start == 0 else (),
                )

    def log_dataset(
        self, run_id: str, *, data: TableVersion, uri: str, digest: str, schema: Mapping[str, str], rows: int
    ) -> None:
        """Records the data version as MLflow's dataset input, version 0 included. *digest* is cut to 36 characters."""
        with self._connection.answering() as client:
            from mlflow.entities import Dataset, DatasetInput, InputTag

            columns = [{"name": name, "type": kind} for name, kind in schema.items()]
            dataset = Dataset(
                name=data.table,
                digest=digest[:36],
                source_type="delta_table",
                source=json.dumps({"path": uri, "delta_table_name": data.table, "delta_table_version": data.version}),
                schema=json.dumps({"columns": columns}),
                profile=json.dumps({"num_rows": rows}),
            )
            client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def log_model(self, run_id: str, folder: Path) -> str:
        """Copies a saved model folder into the run as `model`; returns the source to register it from."""
        with self._connection.answering() as client:
            client.log_artifacts(run_id, str(folder), "model")
        return f"{self._artifact_uri(run_id)}/model"

    def end(self, run_id: str, status: RunStatus, reason: str | None = None) -> None:
        """Ends a run; *reason* says why it failed or was killed, without secrets."""
        if reason:
            self.log(run_id, tags={_REASON_TAG: self._redact(reason)[:4000]})
        with self._connection.answering() as client:
            client.set_terminated(run_id, status.value.upper())

    # ------------------------------------------------------------------------------------------ helpers

    def _search(self, run_ids: Sequence[str]) -> dict[str, Run]:
        names, found = self._experiment_names(), {}
        with self._connection.answering() as client:
            from mlflow.entities import ViewType

            for start in range(0, len(run_ids), _IDS_PER_CALL):
                part = run_ids[start : start + _IDS_PER_CALL]
                listed = ", ".join(f"'{run_id}'" for run_id in part)
                for run in client.search_runs(
                    list(names), f"attributes.run_id IN ({listed})", ViewType.ALL, max_results=len(part)
                ):
                    found[run.info.run_id] = to_run(run, names)
        return found

    def _experiment_names(self, needed: Sequence[str] = ()) -> dict[str, str]:
        """Id to name, deleted experiments too. Asked again only where a needed one is not known yet."""
        if needed and all(key in self._names for key in needed):
            return self._names
        with self._connection.answering() as client:
            from mlflow.entities import ViewType

            listed = client.search_experiments(view_type=ViewType.ALL, max_results=10_000)
            self._names.update({experiment.experiment_id: experiment.name for experiment in listed})
        return self._names

    def _experiment(self, name: str) -> str:
        """Id of the experiment of that name; made where it is new. Raises BadInput where it was deleted."""
        with self._connection.answering() as client:
            found = client.get_experiment_by_name(name)
        if found is None:
            root = self._connection.artifact_root
            place = (root / quote(name, safe="")).as_uri() if root is not None else None
            try:
                with self._connection.answering() as client:
                    return str(client.create_experiment(name, artifact_location=place))
            except BadInput as error:
                if error.values.get("code") != "RESOURCE_ALREADY_EXISTS":
                    raise
            # Another process made it between our look and our call: that is what we wanted.
            with self._connection.answering() as client:
                found = client.get_experiment_by_name(name)
        if found.lifecycle_stage == "deleted":
            raise BadInput(
                f"The experiment {name!r} was deleted in MLflow; restore it there, or name another one by "
                "MODELLEDGER_EXPERIMENT.",
                experiment=name,
            )
        return str(found.experiment_id)

    def _artifact_uri(self, run_id: str) -> str:
        with self._connection.answering(RunNotFound(f"There is no run {run_id!r}.", run_id=run_id)) as client:
            return str(client.get_run(run_id).info.artifact_uri)


def failure_reason(run: Run) -> str | None:
    """Why a run failed or was killed, where it was said."""
    return run.tags.get(_REASON_TAG)


def _is_run_id(text: str) -> bool:
    return bool(text) and len(text) <= 64 and text.replace("-", "").replace("_", "").isalnum() and text.isascii()


def _quoted(text: str) -> str:
    """A string for MLflow's filter language, which has no escape: the quote that does not occur in it."""
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    raise BadInput("MLflow cannot search for a text that holds both kinds of quotes; leave one out.", text=text)
