"""MetricHistories: the logged values of many metrics of a run, in few calls and with a bound on long curves.

MLflow's REST API answers one metric per call. A database is asked once for all metrics; a server ten at a time over
GraphQL, which its own pages use, and one at a time where it is too old for that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from core.entities import MetricHistory, MetricPoint
from core.errors import NotFound
from core.registry.call_timeout import call_within
from core.registry.connection import Connection
from core.registry.from_mlflow import to_number, to_point

# A server refuses a GraphQL request with more fields (MLFLOW_SERVER_GRAPHQL_MAX_ROOT_FIELDS).
_FIELDS_PER_CALL = 10
_RUNS_PER_FIELD = 25
# One call per metric: an old server is asked for no more than these.
_MAX_SINGLE_CALLS = 40
_MAX_PER_METRIC = 2_499
_MAX_UNDEFINED = 500
_QUERY = "mlflowGetMetricHistoryBulkInterval"
# A metric and the runs of which its values are requested.
_Field = tuple[str, list[str]]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MetricHistories:
    """The metric histories of the tracking store of *connection*. Every method can raise RegistryUnavailable."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._has_graphql = True

    def of_run(self, run_id: str, names: Sequence[str], *, max_points: int) -> dict[str, MetricHistory]:
        """Return the histories of the metrics *names* of a run, at most about *max_points* values of each.

        The values of a long curve are evenly sampled, with the first, the last and, from a database, the newest value.
        A name without values is left out, and so is a name beyond the first 40 if the server answers one at a time.
        """
        if not names:
            return {}
        limit = max(2, min(max_points, _MAX_PER_METRIC))
        with self._connection.client() as client:
            store = client._tracking_client.store
            if hasattr(store, "ManagedSessionMaker"):
                rows = _read_from_database(store, run_id, names, limit)
                return {name: _history(points, total) for name, (points, total) in rows.items()}
        fields = [(name, [run_id]) for name in names]
        # One value more than wanted: a history that has them all is sampled, a shorter one is complete.
        found = {name: points for name, points in self._read_from_server(fields, limit + 1) if points}
        return {
            name: _history([point for _, point in points], None if len(points) > limit else len(points))
            for name, points in found.items()
        }

    def undefined(self, values: Iterable[tuple[str, str]]) -> set[tuple[str, str, datetime, int]]:
        """Return run, name, time and step of the logged NaNs among the metrics *values*, pairs of run and name.

        A server samples 500 values of each pair, so a NaN inside a longer curve can be missed.
        """
        runs_by_name: dict[str, list[str]] = {}
        for run_id, name in dict.fromkeys(values):
            runs_by_name.setdefault(name, []).append(run_id)
        if not runs_by_name:
            return set()
        with self._connection.client() as client:
            store = client._tracking_client.store
            if hasattr(store, "ManagedSessionMaker"):
                return _undefined_in_database(store, runs_by_name)
        fields = [
            (name, run_ids[start : start + _RUNS_PER_FIELD])
            for name, run_ids in runs_by_name.items()
            for start in range(0, len(run_ids), _RUNS_PER_FIELD)
        ]
        return {
            (run_id, name, point.timestamp, point.step)
            for name, points in self._read_from_server(fields, _MAX_UNDEFINED)
            for run_id, point in points
            if math.isnan(point.value)
        }

    # ------------------------------------------------------------------------------------------ a server

    def _read_from_server(
        self, fields: Sequence[_Field], limit: int
    ) -> Iterator[tuple[str, list[tuple[str, MetricPoint]]]]:
        """Yield each name with its values and their runs."""
        if self._has_graphql:
            try:
                for start in range(0, len(fields), _FIELDS_PER_CALL):
                    yield from self._read_batch(fields[start : start + _FIELDS_PER_CALL], limit)
            except _NoGraphql:
                self._has_graphql = False
            else:
                return
        calls = [(name, run_id) for name, run_ids in fields for run_id in run_ids][:_MAX_SINGLE_CALLS]
        for name, run_id in calls:
            with self._connection.client() as client:
                metrics = client.get_metric_history(run_id, name)
            yield name, [(run_id, to_point(metric)) for metric in _sampled(metrics, limit)]

    def _read_batch(self, fields: Sequence[_Field], limit: int) -> list[tuple[str, list[tuple[str, MetricPoint]]]]:
        variables = {
            f"input{number}": {"runIds": run_ids, "metricKey": name, "maxResults": limit}
            for number, (name, run_ids) in enumerate(fields)
        }
        declared = ", ".join(f"${name}: MlflowGetMetricHistoryBulkIntervalInput" for name in variables)
        queries = " ".join(
            f"field{number}: {_QUERY}(input: $input{number}) {{ metrics {{ runId value timestamp step }} }}"
            for number in range(len(fields))
        )
        answer = self._post({"query": f"query({declared}) {{ {queries} }}", "variables": variables}, limit)
        read = []
        for number, (name, _) in enumerate(fields):
            field = (answer.get("data") or {}).get(f"field{number}")
            if field is None:  # a server that does not know the query, or one that limits it more
                raise _NoGraphql("MLflow has no answer to this query.")
            # GraphQL has no NaN: the server sends null.
            read.append((name, [_from_graphql(point) for point in field["metrics"] or ()]))
        return read

    def _post(self, query: Mapping[str, Any], limit: int) -> Mapping[str, Any]:
        with self._connection.client() as client:
            from mlflow.utils.rest_utils import http_request

            credentials = client._tracking_client.store.get_host_creds()
            answer = call_within(
                self._connection.max_call_s,
                # MLflow reads the limit of a GraphQL query from the address (handlers.py, bulk_interval_impl).
                lambda: http_request(
                    credentials,
                    "/graphql",
                    "POST",
                    json=query,
                    params={"max_results": limit},
                    raise_on_status=False,
                ),
            )
        if answer.status_code != 200:
            raise _NoGraphql("MLflow has no GraphQL here.")
        try:
            content = answer.json()
        except ValueError as error:
            raise _NoGraphql("MLflow has no GraphQL here.") from error
        return content if isinstance(content, dict) else {}


class _NoGraphql(NotFound):
    """The server has no GraphQL, or not this query. It never leaves this file."""


def _history(points: list[MetricPoint], total: int | None) -> MetricHistory:
    return MetricHistory(points=tuple(sorted(points, key=lambda point: (point.timestamp, point.step))), total=total)


def _from_graphql(point: Mapping[str, Any]) -> tuple[str, MetricPoint]:
    value = point["value"]
    return point["runId"], MetricPoint(
        value=math.nan if value is None else to_number(value),
        timestamp=_time(int(point["timestamp"])),
        step=int(point["step"]),
    )


def _time(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _sampled(metrics: Sequence[Any], limit: int) -> Sequence[Any]:
    stride = 1 + (len(metrics) - 1) // limit
    return [*metrics[:-1:stride], metrics[-1]] if stride > 1 else metrics


# ---------------------------------------------------------------------------------------------- a database


def _read_from_database(
    store: Any, run_id: str, names: Sequence[str], limit: int
) -> dict[str, tuple[list[MetricPoint], int]]:
    """Return the sampled values and the number of logged values by name, in one query."""
    from mlflow.store.tracking.dbmodels.models import SqlMetric

    steps = {"partition_by": SqlMetric.key, "order_by": (SqlMetric.step, SqlMetric.timestamp, SqlMetric.value)}
    ranked = (
        sa.select(
            *(SqlMetric.key, SqlMetric.value, SqlMetric.timestamp, SqlMetric.step, SqlMetric.is_nan),
            sa.func.row_number().over(**steps).label("place"),
            sa.func.row_number().over(partition_by=SqlMetric.key, order_by=SqlMetric.timestamp.desc()).label("age"),
            sa.func.count().over(partition_by=SqlMetric.key).label("total"),
        )
        .where(SqlMetric.run_uuid == run_id)
        .subquery()
    )
    row = ranked.c
    query = sa.select(ranked).where(
        sa.or_((row.place - 1) % (1 + (row.total - 1) // limit) == 0, row.place == row.total, row.age == 1)
    )
    wanted = set(names)
    read: dict[str, tuple[list[MetricPoint], int]] = {}
    with store.ManagedSessionMaker() as session:
        for found in session.execute(query):
            if found.key in wanted:
                points, _ = read.setdefault(found.key, ([], found.total))
                points.append(_from_row(found))
    return read


def _undefined_in_database(store: Any, runs_by_name: Mapping[str, list[str]]) -> set[tuple[str, str, datetime, int]]:
    from mlflow.store.tracking.dbmodels.models import SqlMetric

    run_ids = list({run_id for runs in runs_by_name.values() for run_id in runs})
    undefined = set()
    with store.ManagedSessionMaker() as session:
        for start in range(0, len(run_ids), 500):
            query = sa.select(SqlMetric.run_uuid, SqlMetric.key, SqlMetric.timestamp, SqlMetric.step).where(
                SqlMetric.is_nan.is_(True), SqlMetric.run_uuid.in_(run_ids[start : start + 500])
            )
            undefined |= {
                (row.run_uuid, row.key, _time(row.timestamp), row.step)
                for row in session.execute(query)
                if row.key in runs_by_name
            }
    return undefined


def _from_row(row: Any) -> MetricPoint:
    value = math.nan if row.is_nan else to_number(row.value)
    return MetricPoint(value=value, timestamp=_time(row.timestamp), step=row.step)
