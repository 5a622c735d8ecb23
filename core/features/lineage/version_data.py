"""Where a model version's data comes from: its run, the data versions that it claims, and whether they can be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from core.delta.addresses import address
from core.entities import DataSource, Identity, IdentityVerdict, ModelVersion, ReadVerdict, Run, Table
from core.errors import CoreError, RunNotFound
from core.features.lineage.identity import KnownFacts, Recorded, identity_of, recorded_facts
from core.features.lineage.provenance import Provenance, data_sources, provenance
from core.features.stores import Stores
from core.redact import masked
from core.texts import text

_NOTHING = Recorded()


@dataclass(frozen=True, kw_only=True)
class DataView:
    """A data version that a model claims. *verdict* says whether its rows can be read.

    *verdict* is None, and *problem* says why, if the table or the version is unknown or cannot be looked up. *identity*
    says whether the version is what *recorded* describes; None if its log says nothing about it.
    """

    source: DataSource
    verdict: ReadVerdict | None
    problem: str | None
    recorded: Recorded = _NOTHING
    identity: Identity | None = None

    @property
    def why_unreadable(self) -> str | None:
        """The reason why the rows cannot be shown; None if they can."""
        if self.verdict is None:
            return self.problem
        return None if self.verdict.is_readable else f"{self.verdict.verdict.value}: {self.verdict.reason}"

    @property
    def is_other_data(self) -> bool:
        """Whether the data version is certainly not the data that was used, but has its name."""
        return self.identity is not None and self.identity.is_contradicted

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is wrong with the rows: they are not those that were used, or perhaps not, or cannot be shown."""
        unreadable = (self.why_unreadable,) if self.why_unreadable else ()
        if self.identity is not None and (self.is_other_data or self.identity.verdict is IdentityVerdict.UNCLEAR):
            return (*self.identity.contradictions, *self.identity.notes, *unreadable)
        return unreadable


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
    stores: Stores,
    run: Run | None,
    version: ModelVersion,
    *,
    tolerated: type[CoreError] = CoreError,
    reader: Provenance | None = None,
) -> tuple[DataView, ...]:
    """Return all data that *run* and *version* claim, the most trusted claim first; never empty.

    *reader* saves work where many versions are read. An error of the type *tolerated* becomes a problem of the view;
    any other error is raised.
    """
    sources = reader.sources(run, version) if reader else data_sources(stores, run, version)
    return tuple(
        view_data(stores, source, recorded, tolerated=tolerated)
        for source, recorded in recorded_data(run, version, sources)
    )


def recorded_data(
    run: Run | None, version: ModelVersion | None, sources: Sequence[DataSource]
) -> Iterator[tuple[DataSource, Recorded]]:
    """Yield each of *sources*, which *run* and *version* claim, with what they recorded about it."""
    is_only_data = sum(source.is_training for source in sources) == 1
    for source in sources:
        yield source, recorded_facts(run, version, source, is_only_data=is_only_data and source.is_training)


def identities_of(
    stores: Stores,
    run: Run | None,
    version: ModelVersion | None,
    sources: Sequence[DataSource],
    known: KnownFacts | None = None,
) -> Iterator[tuple[DataSource, Identity]]:
    """Yield those of *sources* whose logs can be compared with what *run* and *version* recorded.

    Only logs are read; *known* keeps what was read for the next call. A table that cannot be opened now is left out.
    """
    for source, recorded in recorded_data(run, version, sources):
        if source.resolved is None or source.version is None:
            continue
        with suppress(CoreError):
            identity = identity_of(stores, source.resolved, source.version, recorded, known=known)
            if identity is not None:
                yield source, identity


def view_content(stores: Stores, view: DataView, *, tolerated: type[CoreError] = CoreError) -> DataView:
    """Return *view* with the content of its rows compared. Every row is read if the training logged a content SHA-256.

    An error of the type *tolerated* becomes a problem of the view; any other error is raised.
    """
    source = view.source
    if source.resolved is None or source.version is None or view.verdict is None or not view.verdict.is_readable:
        return view
    try:
        identity = identity_of(stores, source.resolved, source.version, view.recorded, with_content=True)
    except tolerated as error:
        return replace(view, problem=str(error))
    return replace(view, identity=identity)


def view_data(
    stores: Stores, source: DataSource, recorded: Recorded = _NOTHING, *, tolerated: type[CoreError] = CoreError
) -> DataView:
    """Return *source* with the verdicts on its rows: can they be read, and are they what *recorded* describes?

    A table that is not registered is not opened.
    """
    if source.resolved is None or source.version is None:
        return DataView(source=source, verdict=None, problem=why_not_opened(source), recorded=recorded)
    try:
        verdict = stores.engine.readable(source.resolved, source.version)
        identity = identity_of(stores, source.resolved, source.version, recorded)
    except tolerated as error:
        return DataView(source=source, verdict=None, problem=str(error), recorded=recorded)
    return DataView(source=source, verdict=verdict, problem=None, recorded=recorded, identity=identity)


def why_not_opened(source: DataSource) -> str:
    """Return why the rows of *source* cannot be shown: its table is not registered, or a part of it is unknown."""
    if source.claimed is not None and source.resolved is None and source.version is not None:
        return not_registered(source.claimed)
    if source.claimed is None and source.version is not None:
        return text(
            "{claim} names version {version} of no table. MODELLEDGER_CLAIMS can name the table.",
            claim=source.source_of_truth,
            version=source.version,
        )
    return " ".join(source.findings) or text("No version is known.")


def is_about(source: DataSource, table: Table) -> bool:
    """Return whether *source* is about *table*, which need not be registered: a person named it."""
    if source.resolved is not None:
        return source.resolved.uri == table.uri
    if source.claimed is None:
        return False
    place = address(source.claimed)
    return source.claimed == table.name or (place is not None and place == address(table.uri))


def not_registered(claimed: str) -> str:
    """Return that the table *claimed* is not registered here, with the setting that registers it."""
    claimed = masked(claimed)
    if address(claimed) is None:
        return text(
            "{table} is not registered here. Add {table}=ADDRESS to MODELLEDGER_TABLES to register it.", table=claimed
        )
    name = re.sub(r"\W+", "_", claimed.rstrip("/").rpartition("/")[2].rpartition(".")[2]) or "NAME"
    return text(
        "{table} is not registered here, so it is not opened. Add {name}={table} to MODELLEDGER_TABLES to register it, "
        "or name the address under which it is registered in MODELLEDGER_CLAIMS.",
        table=claimed,
        name=name,
    )


def data_of_all_versions(stores: Stores) -> Iterator[tuple[ModelVersion, tuple[DataSource, ...]]]:
    """Yield every model version with all data that it claims, in a constant number of registry calls."""
    versions = stores.models.versions()
    runs = stores.runs.get_many([version.run_id for version in versions if version.run_id])
    reader = provenance(stores, runs.values())
    for version in versions:
        yield version, reader.sources(runs.get(version.run_id or ""), version)


def with_data(stores: Stores, runs: Sequence[Run], versions: Iterable[ModelVersion] = ()) -> tuple[Run, ...]:
    """Return *runs* with their data, resolved to registered tables. *versions* are those registered from the runs."""
    read = _reader_of_runs(stores, runs, versions)
    return tuple(replace(run, data=read(run)) for run in runs)


def is_trained_on(stores: Stores, table: str, version: int | None) -> Callable[[Run], bool]:
    """Return a check whether a run was trained on *version* of *table* (None: any), however its claims spell it."""
    wanted = stores.catalog.registered().find(table) or Table(name=table, uri=table)
    read = _reader_of_runs(stores)
    # A search asks about the same runs again when it has read more of them.
    answers: dict[str, tuple[Run, bool]] = {}

    def check(run: Run) -> bool:
        asked, answer = answers.get(run.run_id, (None, False))
        if asked is not run:
            answer = any(
                source.is_training and is_about(source, wanted) and version in (None, source.version)
                for source in read(run)
            )
            answers[run.run_id] = run, answer
        return answer

    return check


def _reader_of_runs(
    stores: Stores, runs: Sequence[Run] = (), versions: Iterable[ModelVersion] = ()
) -> Callable[[Run], tuple[DataSource, ...]]:
    reader = provenance(stores, runs)
    if not versions and any(rule.model for rule in reader.rules):
        versions = stores.models.versions()
    by_run = {version.run_id: version for version in versions if version.run_id}
    return lambda run: reader.sources(run, by_run.get(run.run_id))
