"""Search runs: filters, an order over all runs that match, their number, and one page of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from core.access.permissions import Action, require
from core.entities import Actor, Run, RunStatus
from core.features.lineage.version_data import is_trained_on, with_data
from core.features.stores import Stores
from core.registry.search.filters import (
    ATTRIBUTES,
    METRICS,
    PARAMS,
    TAGS,
    Condition,
    comparison,
    condition,
    joined,
    milliseconds,
    parse_filter,
)
from core.registry.search.listing import RunListing
from core.registry.search.order import RunOrder, parse_order

# The screen writes orders and conditions as people do.
__all__ = [
    "RunOrder",
    "RunQuery",
    "RunResults",
    "condition",
    "field_names",
    "list_model_names",
    "parse_order",
    "search_runs",
]

# A model with more versions is found among all runs: MLflow's filter would be too long.
_MOST_IDS = 500
_RUNS_WITH_NAMES = 1_000


@dataclass(frozen=True, kw_only=True)
class RunQuery:
    """What to search for; an empty query finds every run that is not deleted.

    *filter* is MLflow's search syntax, such as "metrics.rmse < 0.3 AND params.depth = '3'". *metrics*, *params* and
    *tags* are comparisons such as "rmse < 0.3" or "depth = 3", with the quotes left out. *name* is a part of a run's
    name. *since* and *until* limit the start. *table* and *version* are the training data, in any spelling of the
    table; *model* is a registered model. Without *nested* the runs that are nested in another are folded, unless only
    such runs match.
    """

    filter: str = ""
    metrics: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    name: str = ""
    user: str = ""
    experiments: tuple[str, ...] = ()
    status: RunStatus | None = None
    since: datetime | None = None
    until: datetime | None = None
    table: str | None = None
    version: int | None = None
    model: str | None = None
    nested: bool = True
    order: RunOrder = field(default_factory=RunOrder)


@dataclass(frozen=True, kw_only=True)
class RunResults:
    """Page *number* (from 1) of the runs that match, in the order of the query.

    *total* is the number of runs that match among the *read* ones. With *is_complete* all runs were read. Otherwise
    *total* is the number so far; an order other than newest first is then one of the runs read so far.
    *is_capped* means that the oldest runs were left out, because too many match. *folded* is the number of nested runs
    that match and are not listed.
    """

    runs: tuple[Run, ...]
    number: int
    size: int
    total: int
    read: int
    is_complete: bool
    is_capped: bool
    read_at: datetime
    folded: int = 0

    @property
    def last(self) -> int | None:
        """The number of the last page; None where runs are still to be read."""
        return max(1, -(-self.total // self.size)) if self.is_complete else None


def search_runs(
    stores: Stores,
    actor: Actor,
    query: RunQuery | None = None,
    *,
    number: int = 1,
    size: int = 100,
    count_s: float | None = 0.0,
    wait_s: float | None = None,
    again: bool = False,
    progress: Callable[[int], None] = lambda read: None,
) -> RunResults:
    """Return page *number* of the runs that match; the last page if there are fewer, no run if it is not read yet.

    Runs are read from MLflow until the page is filled, for at most *wait_s* (None: as long as it takes), and then for
    the total, for *count_s* (None: until all are read). An order other than newest first needs all runs that match.
    *again* reads runs again that were read before. *progress* is called with the number of runs read so far.

    Raises:
        BadFilter: the filter or an order is not valid.
        ModelNotFound: there is no registered model of that name.
        RegistryUnavailable.
    """
    require(actor, Action.RUN_READ)
    query = query or RunQuery()
    listing, matches = _listing(stores, query, again=again)
    started, was_filled = time.monotonic(), False
    while True:
        every = [run for run in listing.runs if matches(run)]
        found = every if query.nested else ([run for run in every if run.parent_id is None] or every)
        is_filled = query.order.is_newest_first and len(found) >= number * size
        if is_filled and not was_filled:
            started, was_filled = time.monotonic(), True
        limit_s = count_s if is_filled else wait_s
        if listing.is_complete or (limit_s is not None and time.monotonic() - started >= limit_s):
            break
        listing.advance()
        progress(len(listing))
    if listing.is_complete:
        number = max(1, min(number, -(-len(found) // size)))
    start = (number - 1) * size
    shown = listing.current(query.order.sorted(found)[start : start + size])
    return RunResults(
        runs=with_data(stores, [run for run in shown if matches(run)]),
        number=number,
        size=size,
        total=len(found),
        read=len(listing),
        is_complete=listing.is_complete,
        is_capped=listing.is_capped,
        read_at=listing.read_at,
        folded=len(every) - len(found),
    )


def list_model_names(stores: Stores, actor: Actor) -> tuple[str, ...]:
    """Return the names of the registered models, which `RunQuery.model` accepts."""
    require(actor, Action.RUN_READ)
    return tuple(model.name for model in stores.models.models())


def field_names(stores: Stores, actor: Actor, query: RunQuery) -> tuple[str, ...]:
    """Return the metrics and params of the newest runs that match, such as "metrics.rmse", as fields of an order.

    Raises as `search_runs`.
    """
    require(actor, Action.RUN_READ)
    listing, matches = _listing(stores, query, again=False)
    if not len(listing):
        listing.advance()
    newest = [run for run in listing.runs[:_RUNS_WITH_NAMES] if matches(run)]
    metrics = sorted({name for run in newest for name in run.metrics})
    params = sorted({name for run in newest for name in run.params})
    return (*(f"{METRICS}.{name}" for name in metrics), *(f"{PARAMS}.{name}" for name in params))


def _listing(stores: Stores, query: RunQuery, *, again: bool) -> tuple[RunListing, Callable[[Run], bool]]:
    """Return the runs that MLflow finds, and what remains to be checked here: MLflow cannot search for it."""
    conditions = _conditions(query)
    checks: list[Callable[[Run], bool]] = []
    if query.model is not None:
        ids = frozenset(version.run_id for version in stores.models.versions(query.model) if version.run_id)
        if len(ids) <= _MOST_IDS:
            listed = tuple(sorted(ids)) or ("none",)
            conditions.append(Condition(kind=ATTRIBUTES, name="run_id", operator="IN", value=listed))
        else:
            checks.append(lambda run: run.run_id in ids)
    if query.table is not None:
        checks.append(is_trained_on(stores, query.table, query.version))
    part = query.name.strip().casefold()
    if "%" in part or "_" in part:
        # In MLflow's search these stand for any characters.
        checks.append(lambda run: part in run.name.casefold())
    listing = stores.runs.listings.get(query.experiments, joined(conditions), again=again)
    return listing, lambda run: all(check(run) for check in checks)


def _conditions(query: RunQuery) -> list[Condition]:
    conditions = list(parse_filter(query.filter))
    for kind, comparisons in ((METRICS, query.metrics), (PARAMS, query.params), (TAGS, query.tags)):
        conditions += [comparison(kind, written) for written in comparisons]
    if name := query.name.strip():
        conditions.append(condition("run_name", "ILIKE", f"%{name}%"))
    if user := query.user.strip():
        conditions.append(condition("tags.mlflow.user", "=", user))
    if query.status is not None:
        conditions.append(condition("status", "=", query.status.value))
    if query.since is not None:
        conditions.append(condition("start_time", ">=", milliseconds(query.since)))
    if query.until is not None:
        conditions.append(condition("start_time", "<=", milliseconds(query.until)))
    return conditions
