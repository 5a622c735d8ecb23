"""Runs: MLflow's tracking store, read in pages and written by training."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from core.entities import Artifact, MetricHistory, MetricPoint, Run, RunStatus, TableVersion
from core.errors import ArtifactNotFound, ArtifactOutside, BadInput, RunNotFound
from core.redact import redactor
from core.registry import search_filter
from core.registry.artifacts import files as artifact_files
from core.registry.connection import Connection
from core.registry.from_mlflow import to_point, to_run
from core.registry.logged_models import LoggedModels
from core.registry.metric_histories import MetricHistories
from core.registry.record_cache import ChangeMarker, RecordCache
from core.registry.search.call_size import CallSize
from core.registry.search.listing import RunListings, RunPage

_EXPERIMENTS_PER_CALL = 1_000
# The list of experiments is read again after this time, or at once if it lacks an experiment.
_TRUST_S = 5.0
_PARAMS_PER_CALL = 100
_ENDED = frozenset({RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED})
_REASON_TAG = "modelledger.reason"


class Runs:
    """The runs of the tracking store at *tracking_uri*.

    Every method can raise RegistryUnavailable, within about *timeout_s*.
    """

    def __init__(
        self,
        tracking_uri: str,
        timeout_s: float = 5.0,
        artifact_root: Path | None = None,
        protected: Sequence[Path] = (),
        redact: Callable[[str], str] | None = None,
        connection: Connection | None = None,
    ) -> None:
        """Open the store on first use, or read it through *connection*, which others share."""
        self._connection = connection or Connection(
            tracking_uri, timeout_s=timeout_s, artifact_root=artifact_root, protected=protected
        )
        self._cache: RecordCache[Run] = RecordCache(lambda run: run.status in _ENDED)
        self._redact = redact or redactor()
        self._names: dict[str, str] = {}
        self._active: frozenset[str] = frozenset()
        self._names_read_at = -math.inf
        self._names_marker: ChangeMarker = None
        self._call_size = CallSize()
        self.listings = RunListings(self.page, self._connection.change_marker, self._call_size)
        self._histories = MetricHistories(self._connection)
        self.logged_models = LoggedModels(self._connection, self._histories, self._experiment_names)

    # ------------------------------------------------------------------------------------------ reading

    def server_version(self) -> str | None:
        """Return the version of the MLflow server; None if the store is a database or a folder."""
        return self._connection.server_version(self._connection.tracking_uri)

    def experiments(self) -> tuple[str, ...]:
        """Return the names of the experiments that are not deleted."""
        names = self._experiment_names()
        return tuple(sorted(names[key] for key in self._active))

    def page(
        self, experiments: Sequence[str] = (), conditions: str = "", *, limit: int = 100, token: str | None = None
    ) -> RunPage:
        """Return one page of the runs of *experiments* (all if empty) that match *conditions*, newest first.

        *conditions* is a filter of MLflow: `core.registry.search.filters` writes it.

        Raises:
            BadInput: MLflow does not accept *conditions* or *token*.
        """
        names = self._experiment_names()
        if not set(experiments) <= set(names.values()):
            names = self._experiment_names(max_age_s=0.0)
        experiment_ids = [key for key, name in names.items() if not experiments or name in experiments]
        if not experiment_ids:
            return RunPage(runs=(), next_token=None)
        marker = self._connection.change_marker()
        with self._connection.client() as client:
            page = client.search_runs(
                experiment_ids,
                conditions,
                max_results=limit,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
        token = page.token.decode() if isinstance(page.token, bytes) else page.token
        runs = {run.info.run_id: to_run(run, names) for run in page}
        self._cache.put_many(runs, runs, marker)
        return RunPage(runs=tuple(runs.values()), next_token=token or None)

    def get(self, run_id: str) -> Run:
        """Return the run as MLflow has it now, even if it is deleted. Raises RunNotFound."""
        missing = RunNotFound("MLflow has no run {run_id!r}. Pick one from the list of runs.", run_id=run_id)
        if not _is_run_id(run_id):
            raise missing
        with self._connection.client(missing) as client:
            run = client.get_run(run_id)
        return to_run(run, self._experiment_names(required=(run.info.experiment_id,)))

    def get_many(self, run_ids: Iterable[str], *, fresh: bool = False) -> dict[str, Run]:
        """Return runs by id, deleted runs included; ids that MLflow does not know are left out.

        MLflow is called once per 500 ids, or fewer if it answers slowly. If MLflow is a server, a run that has ended
        may come from memory for up to a minute after somebody changed it; a change in an embedded store is seen at
        once. With *fresh* every run is read from MLflow, as gates and verdicts need.
        """
        requested = list(dict.fromkeys(run_id for run_id in run_ids if _is_run_id(run_id)))
        marker = self._connection.change_marker()
        runs = {} if fresh else self._cache.get_many(requested, marker)
        missing = [run_id for run_id in requested if run_id not in runs]
        if missing:
            searched = dict(self._experiment_names())
            read = self._search(missing, searched)
            unknown = [run_id for run_id in missing if run_id not in read]
            # They may belong to an experiment that was made a moment ago.
            if unknown and searched.keys() != self._experiment_names(max_age_s=0.0).keys():
                read |= self._search(unknown, self._names)
            self._cache.put_many(missing, read, marker)
            runs.update({run_id: read.get(run_id) for run_id in missing})
        return {run_id: run for run_id in requested if (run := runs[run_id]) is not None}

    def metric_history(self, run_id: str, key: str) -> tuple[MetricPoint, ...]:
        """Return every logged value of a metric, oldest first.

        A value with a time after the run's end was added afterwards. Raises RunNotFound.
        """
        with self._connection.client(_no_run(run_id)) as client:
            points = client.get_metric_history(run_id, key)
        return tuple(sorted((to_point(point) for point in points), key=lambda point: (point.timestamp, point.step)))

    def metric_histories(
        self, run_id: str, names: Sequence[str], *, max_points: int = 1_000
    ) -> dict[str, MetricHistory]:
        """Return the histories of metrics in few calls; a long one is sampled. See MetricHistories.of_run."""
        return self._histories.of_run(run_id, names, max_points=max_points)

    def children(self, run_id: str, *, limit: int = 100, token: str | None = None) -> RunPage:
        """Return one page of the runs that are nested in *run_id*, newest first."""
        condition = f"tags.`mlflow.parentRunId` = {search_filter.quote(run_id)}"
        return self.page((), condition, limit=limit, token=token)

    def artifacts(self, run_id: str, below: str = "") -> tuple[Artifact, ...]:
        """Return the files and folders one level below *below* in the run's artifacts; none if the run logged none."""
        try:
            uri = self._artifact_uri(run_id)
            return artifact_files.list_files(self._connection, uri, lambda: (uri,), below=below)
        except ArtifactOutside:
            raise
        except ArtifactNotFound:
            if below:
                raise
            return ()

    def download(self, run_id: str, into: Path, *, path: str) -> Path:
        """Copy one file of the run's artifacts below *into* and return its path. Raises ArtifactNotFound."""
        uri = self._artifact_uri(run_id)
        return artifact_files.fetch(self._connection, uri, lambda: (uri,), into, path=path)

    # ------------------------------------------------------------------------------------------ writing

    def start(self, experiment: str, name: str, user: str, tags: Mapping[str, str]) -> str:
        """Start a run and return its id; create the experiment if it does not exist."""
        experiment_id = self._experiment(experiment)
        self._names[experiment_id] = experiment
        self._active |= {experiment_id}
        with self._connection.client() as client:
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
        """Log params, which cannot be changed afterwards, metrics (also NaN and infinity) and tags."""
        with self._connection.client(_no_run(run_id)) as client:
            from mlflow.entities import Metric, Param, RunTag

            now = int(time.time() * 1000)
            values = [Param(name, str(value)) for name, value in (params or {}).items()]
            points = [Metric(name, float(value), now, 0) for name, value in (metrics or {}).items()]
            run_tags = [RunTag(name, str(value)) for name, value in (tags or {}).items()]
            for start in range(0, max(len(values), 1), _PARAMS_PER_CALL):
                client.log_batch(
                    run_id,
                    params=values[start : start + _PARAMS_PER_CALL],
                    metrics=points if start == 0 else (),
                    tags=run_tags if start == 0 else (),
                )

    def log_dataset(
        self, run_id: str, *, data: TableVersion, uri: str, digest: str, schema: Mapping[str, str], rows: int
    ) -> None:
        """Log the data version as a dataset input of MLflow. MLflow accepts the first 36 characters of *digest*."""
        with self._connection.client() as client:
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
        """Copy a saved model folder into the run as `model` and return the source from which to register it."""
        with self._connection.client() as client:
            client.log_artifacts(run_id, str(folder), "model")
        return f"{self._artifact_uri(run_id)}/model"

    def log_text(self, run_id: str, content: str, path: str) -> None:
        """Write *content* as the file *path* into the run's artifacts."""
        with self._connection.client() as client:
            client.log_text(run_id, content, path)

    def end(self, run_id: str, status: RunStatus, reason: str | None = None) -> None:
        """End a run. *reason* is why it failed or was killed; secrets are removed from it."""
        if reason:
            self.log(run_id, tags={_REASON_TAG: self._redact(reason)[:4000]})
        with self._connection.client() as client:
            client.set_terminated(run_id, status.value.upper())

    # ------------------------------------------------------------------------------------------ helpers

    def _search(self, run_ids: Sequence[str], names: Mapping[str, str]) -> dict[str, Run]:
        """Return runs by id, from the experiments in *names* (by id)."""
        experiments, runs = list(names), dict[str, Run]()
        with self._connection.client() as client:
            from mlflow.entities import ViewType

            start = 0
            while start < len(run_ids):
                part = run_ids[start : start + self._call_size.rows]
                listed = ", ".join(f"'{run_id}'" for run_id in part)
                with self._call_size.measured(len(part)):
                    page = client.search_runs(
                        experiments, f"attributes.run_id IN ({listed})", ViewType.ALL, max_results=len(part)
                    )
                runs.update({run.info.run_id: to_run(run, names) for run in page})
                start += len(part)
        return runs

    def _experiment_names(self, required: Sequence[str] = (), *, max_age_s: float = _TRUST_S) -> dict[str, str]:
        """Return names by id, deleted experiments included; from memory if it has all *required* ids and is recent."""
        marker = self._connection.change_marker()
        is_recent = time.monotonic() - self._names_read_at < max_age_s and marker == self._names_marker
        if (required or is_recent) and all(key in self._names for key in required):
            return self._names
        token: str | None = None
        active: set[str] = set()
        with self._connection.client() as client:
            from mlflow.entities import ViewType

            while True:
                listed = client.search_experiments(
                    view_type=ViewType.ALL, max_results=_EXPERIMENTS_PER_CALL, page_token=token
                )
                self._names.update({experiment.experiment_id: experiment.name for experiment in listed})
                active |= {entry.experiment_id for entry in listed if entry.lifecycle_stage == "active"}
                token = listed.token or None
                if token is None:
                    break
        self._active, self._names_read_at, self._names_marker = frozenset(active), time.monotonic(), marker
        return self._names

    def _experiment(self, name: str) -> str:
        """Return the id of the experiment *name*; create it if it does not exist. Raises BadInput if it is deleted."""
        with self._connection.client() as client:
            experiment = client.get_experiment_by_name(name)
        if experiment is None:
            root = self._connection.artifact_root
            location = (root / quote(name, safe="")).as_uri() if root is not None else None
            try:
                with self._connection.client() as client:
                    return str(client.create_experiment(name, artifact_location=location))
            except BadInput as error:
                if error.values.get("code") != "RESOURCE_ALREADY_EXISTS":
                    raise
            # Another process created the experiment in the meantime.
            with self._connection.client() as client:
                experiment = client.get_experiment_by_name(name)
        if experiment.lifecycle_stage == "deleted":
            raise BadInput(
                "The experiment {experiment!r} was deleted in MLflow. Restore it there, or set MODELLEDGER_EXPERIMENT "
                "to another name.",
                experiment=name,
            )
        return str(experiment.experiment_id)

    def _artifact_uri(self, run_id: str) -> str:
        with self._connection.client(_no_run(run_id)) as client:
            return str(client.get_run(run_id).info.artifact_uri)


def failure_reason(run: Run) -> str | None:
    """Return why a run failed or was killed, if a reason was logged."""
    return run.tags.get(_REASON_TAG)


def _is_run_id(text: str) -> bool:
    return bool(text) and len(text) <= 64 and text.replace("-", "").replace("_", "").isalnum() and text.isascii()


def _no_run(run_id: str) -> RunNotFound:
    return RunNotFound("MLflow has no run {run_id!r}.", run_id=run_id)
