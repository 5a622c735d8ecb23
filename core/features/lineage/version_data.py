"""Where a model version's data comes from: its run, the data versions that it claims, and whether they can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from core.entities import ModelVersion, ReadVerdict, Run, Table, TableVersion
from core.errors import CoreError, RunNotFound
from core.features.lineage.provenance import DataSource, data_sources
from core.features.stores import Stores
from core.texts import text


@dataclass(frozen=True, kw_only=True)
class DataView:
    """A data version that a model claims. *verdict* says whether its rows can be read.

    *verdict* is None, and *problem* says why, if the table or the version is unknown or cannot be looked up.
    """

    source: DataSource
    verdict: ReadVerdict | None
    problem: str | None

    @property
    def why_unreadable(self) -> str | None:
        """The reason why the rows cannot be shown; None if they can."""
        if self.verdict is None:
            return self.problem
        return None if self.verdict.is_readable else f"{self.verdict.verdict.value}: {self.verdict.reason}"


def run_of(stores: Stores, version: ModelVersion) -> Run | None:
    """Return the run of *version* as it is now, a deleted run too. None if it names no run or a run that is gone."""
    if not version.run_id:
        return None
    run = stores.runs.get_many([version.run_id], fresh=True).get(version.run_id)
    if run is not None:
        return run
    try:
        return stores.runs.get(version.run_id)
    except RunNotFound:
        return None


def data_of(
    stores: Stores, run: Run | None, version: ModelVersion, *, tolerated: type[CoreError] = CoreError
) -> tuple[DataView, ...]:
    """Return every data version that *run* and *version* claim, the most trusted claim first; never empty.

    An error of the type *tolerated* becomes a problem of the view; any other error is raised.
    """
    return tuple(view_data(stores, source, tolerated=tolerated) for source in data_sources(run, version))


def view_data(
    stores: Stores,
    source: DataSource,
    *,
    tolerated: type[CoreError] = CoreError,
    resolve: Callable[[str], Table] | None = None,
) -> DataView:
    """Return *source* with the verdict on its rows. *resolve* looks a table up by name (default: the catalog)."""
    if source.key is None:
        problem = "; ".join(source.findings) or text("No data version is known.")
        return DataView(source=source, verdict=None, problem=problem)
    try:
        table = (resolve or stores.catalog.resolve)(source.key.table)
        verdict = stores.engine.readable(table, source.key.version)
    except tolerated as error:
        return DataView(source=source, verdict=None, problem=str(error))
    return DataView(source=source, verdict=verdict, problem=None)


def data_of_all_versions(stores: Stores) -> Iterator[tuple[ModelVersion, tuple[TableVersion, ...]]]:
    """Yield every model version with the data versions that it claims, in a constant number of registry calls.

    A run is read only for a version without tags of its own about its data.
    """
    versions = stores.models.versions()
    untagged = [version.run_id for version in versions if version.data is None and version.run_id]
    runs = stores.runs.get_many(untagged) if untagged else {}
    for version in versions:
        sources = data_sources(runs.get(version.run_id or ""), version)
        yield version, tuple(source.key for source in sources if source.key is not None)
