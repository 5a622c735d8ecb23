"""LoggedModels: the models that runs logged as in MLflow 3, with their own metrics, read in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from core.entities import LoggedModel
from core.errors import ServerLacksCall
from core.registry import search_filter
from core.registry.connection import Connection
from core.registry.from_mlflow import to_logged_model
from core.registry.metric_histories import MetricHistories
from core.registry.record_cache import RecordCache
from core.registry.search.call_size import CallSize

_MOST_OF_A_RUN = 100


class LoggedModels:
    """The logged models of the tracking store of *connection*; there are none before MLflow 3.

    Every method can raise RegistryUnavailable.
    """

    def __init__(
        self, connection: Connection, histories: MetricHistories, experiment_ids: Callable[[], Iterable[str]]
    ) -> None:
        self._connection = connection
        self._histories = histories
        self._experiment_ids = experiment_ids
        self._call_size = CallSize()
        self._cache: RecordCache[LoggedModel] = RecordCache(lambda model: model.status == "ready")

    def get_many(self, model_ids: Iterable[str], *, fresh: bool = False) -> dict[str, LoggedModel]:
        """Return logged models by id; ids that MLflow does not know, or has deleted, are left out.

        With *fresh* nothing comes from the cache.
        """
        requested = list(dict.fromkeys(model_ids))
        marker = self._connection.change_marker()
        models = {} if fresh else self._cache.get_many(requested, marker)
        missing = [model_id for model_id in requested if model_id not in models]
        if missing:
            read: dict[str, LoggedModel] = {}
            unread = missing
            while unread:
                part, unread = unread[: self._call_size.rows], unread[self._call_size.rows :]
                listed = ", ".join(map(search_filter.quote, part))
                with self._call_size.measured(len(part)):
                    models_of_part = self._search(f"model_id IN ({listed})", len(part))
                read |= {model.model_id: model for model in models_of_part}
            self._cache.put_many(missing, read, marker)
            models.update({model_id: read.get(model_id) for model_id in missing})
        return {model_id: model for model_id in requested if (model := models[model_id]) is not None}

    def of_run(self, run_id: str, *, limit: int = _MOST_OF_A_RUN) -> tuple[LoggedModel, ...]:
        """Return the newest *limit* logged models of a run, oldest first."""
        models = self._search(f"source_run_id = {search_filter.quote(run_id)}", limit)
        return tuple(sorted(models, key=lambda model: (model.created, model.model_id)))

    def _search(self, condition: str, limit: int) -> Sequence[LoggedModel]:
        experiments = list(self._experiment_ids())
        models: list[LoggedModel] = []
        # A server before MLflow 3 has no logged models.
        with suppress(ServerLacksCall), self._connection.client() as client:
            page = client.search_logged_models(experiments, condition, max_results=limit)
            models = [to_logged_model(model) for model in page]
        return self._with_undefined(models)

    def _with_undefined(self, models: Sequence[LoggedModel]) -> Sequence[LoggedModel]:
        """Return *models* with NaN where it was logged: MLflow stores it as 0 for a model and as NaN for the run."""
        zeros = [(m.run_id, m.name) for model in models for m in model.metrics if m.value == 0 and m.run_id]
        undefined = self._histories.undefined(zeros)
        if not undefined:
            return models
        return [
            replace(
                model,
                metrics=tuple(
                    replace(metric, value=float("nan"))
                    if (metric.run_id, metric.name, metric.timestamp, metric.step) in undefined and metric.value == 0
                    else metric
                    for metric in model.metrics
                ),
            )
            for model in models
        ]
