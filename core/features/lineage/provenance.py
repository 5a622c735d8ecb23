"""Provenance: the data that a run and its model version used, from every claim, resolved to registered tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from core.delta.addresses import address
from core.delta.catalog import Match, RegisteredTables
from core.entities import DatasetInput, DataSource, DataUse, ModelVersion, Run, Table
from core.errors import BadInput, CoreError
from core.features.lineage.claim_rules import ClaimRule, SameAddress, read_rules
from core.features.lineage.claims import Claim, Evidence, all_claims
from core.features.stores import Stores
from core.redact import masked
from core.registry.search.filters import condition, joined
from core.texts import text

# A dataset as MLflow tells datasets apart: experiment, name, digest.
_Dataset = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Reads claims with the registered tables and the rules as they were when it was made.

    *table_ids* returns the tables by Delta table id; it is called only for a claim that names an id and no registered
    table. *mixed_up* are datasets whose source in MLflow contradicts another claim of a run that logged them.
    """

    tables: RegisteredTables
    rules: tuple[ClaimRule, ...] = ()
    same_addresses: tuple[SameAddress, ...] = ()
    table_ids: Callable[[], Mapping[str, Table]] = dict
    mixed_up: frozenset[_Dataset] = frozenset()
    _known: dict[tuple[str, tuple[Claim, ...]], tuple[DataSource, ...]] = field(default_factory=dict, repr=False)

    def sources(self, run: Run | None, version: ModelVersion | None = None) -> tuple[DataSource, ...]:
        """Return all data that *run* and *version* claim to have used, the most trusted claim first.

        Training data comes before evaluation data. There is always a source of training data: without any claim it
        names no table and no version. A claim that contradicts a more trusted one is a finding of that one.
        """
        claims = all_claims(Evidence(run=run, version=version, rules=self.rules))
        # The versions of a model were trained on few data versions: the same claims come again and again.
        key = (run.experiment if run else "", claims)
        if key not in self._known:
            self._known[key] = self._merge(*key)
        sources = self._known[key]
        if any(source.is_training for source in sources):
            return sources
        finding = text("No data version is known: {reason}", reason=_why_nothing(run, version))
        return (DataSource(claimed=None, version=None, source_of_truth="none", findings=(finding,)), *sources)

    def find(self, claim: Claim) -> Match | None:
        """Return the registered table that *claim* means, by name, address or table id. What it names is not opened."""
        references = [reference for reference in (claim.table, claim.address) if reference is not None]
        same = [place for reference in references for entry in self.same_addresses if (place := entry.apply(reference))]
        for reference in (*references, *same):
            table = self.tables.find(reference)
            if table is not None:
                return Match(table=table)
        table = self.table_ids().get(claim.table_id) if claim.table_id else None
        if table is not None:
            return Match(table=table)
        return next((match for reference in references if (match := self.tables.match(reference))), None)

    def _merge(self, experiment: str, claims: Iterable[Claim]) -> tuple[DataSource, ...]:
        sources: list[_Source] = []
        for claim in claims:
            match = self.find(claim)
            _add(sources, _Source(claim, match, self._why_weak(experiment, claim, match)))
        # A source without a version says less than any other source, whoever claims it.
        ordered = sorted(sources, key=lambda source: (not source.is_training, source.version is None))
        return tuple(source.data_source() for source in ordered)

    def _why_weak(self, experiment: str, claim: Claim, match: Match | None) -> str | None:
        if claim.input is not None and _dataset(experiment, claim.input) in self.mixed_up:
            return mixed_up_reason()
        return match.weak if match is not None else None


def provenance(stores: Stores, runs: Iterable[Run] = ()) -> Provenance:
    """Return the reader of claims. *runs* are runs that may have logged the same datasets, to find mixed-up sources."""
    rules, same_addresses = read_rules(stores.settings.claims)
    reader = Provenance(
        tables=stores.catalog.registered(),
        rules=rules,
        same_addresses=same_addresses,
        table_ids=_once(lambda: _tables_by_id(stores)),
    )
    return replace(reader, mixed_up=mixed_up(reader, runs), _known={})


def data_sources(stores: Stores, run: Run | None, version: ModelVersion | None = None) -> tuple[DataSource, ...]:
    """Return the sources of one run and its model version; see `Provenance.sources`. For many runs make one reader."""
    return provenance(stores, sharing_datasets(stores, run)).sources(run, version)


def mixed_up_reason() -> str:
    """Return why the source of a dataset input may be that of another run."""
    return text(
        "MLflow keeps one source for all datasets of an experiment with the same name and digest, so this source may "
        "be the one of another run."
    )


@dataclass
class _Source:
    """A data source under construction, with the claim that made it."""

    claim: Claim
    match: Match | None
    weak: str | None
    findings: list[str] = field(default_factory=list)
    other_versions: list[int] = field(default_factory=list)
    version: int | None = None
    source: str = ""
    note: str | None = None

    def __post_init__(self) -> None:
        self.version, self.source, self.note = self.claim.version, self.claim.source, self.claim.note

    @property
    def is_training(self) -> bool:
        return self.claim.use is DataUse.TRAINING

    @property
    def place(self) -> str | None:
        """The table, in a form that is equal for all its spellings; None if no table is claimed."""
        if self.match is not None:
            return f"table {self.match.table.name}"
        return None if self.claim.table is None else address(self.claim.table) or self.claim.table

    def data_source(self) -> DataSource:
        return DataSource(
            claimed=None if self.claim.table is None else masked(self.claim.table),
            resolved=self.match.table if self.match else None,
            version=self.version,
            source_of_truth=self.source,
            context=self.claim.use,
            # The id in a dataset input is that of a catalog, which is not the id in the table's log.
            table_id=None if self.claim.input else self.claim.table_id,
            weak=self.weak,
            findings=(*([self.note] if self.note else []), *self.findings),
            other_versions=tuple(self.other_versions),
        )


def _add(sources: list[_Source], new: _Source) -> None:
    """Add a claim: a new source, the version of a source, or a finding of a more trusted source."""
    same_use = [source for source in sources if source.is_training == new.is_training]
    if new.place is None:
        if new.version is not None:
            _add_version_of_no_table(sources, same_use, new)
        elif new.claim.input is not None or not same_use:
            sources.append(new)
        return
    rivals = [source for source in same_use if source.place == new.place]
    rivals += [source for source in same_use if source.place is None and source.version == new.version is not None]
    if not rivals:
        sources.append(new)
    elif rivals[0].place is None:
        # A more trusted claim named only the version: this one says of which table.
        rivals[0].claim, rivals[0].match = replace(rivals[0].claim, table=new.claim.table), new.match
    elif new.version is None or any(rival.version == new.version for rival in rivals):
        return
    elif rivals[0].version is None:
        rivals[0].version, rivals[0].note = new.version, None
        rivals[0].source = text("{claim} with {other}", claim=rivals[0].source, other=new.source)
    elif all(_is_same_kind(rival.claim, new.claim) for rival in rivals):
        sources.append(new)
    else:
        _contradict(rivals[0], new)


def _add_version_of_no_table(sources: list[_Source], same_use: list[_Source], new: _Source) -> None:
    versioned = [source for source in same_use if source.version is not None]
    tables = [source for source in same_use if source.place is not None]
    if any(source.version == new.version for source in versioned):
        return
    if versioned:
        _contradict(versioned[0], new)
    elif len(tables) == 1:
        tables[0].version, tables[0].note = new.version, None
        tables[0].source = text("{claim} with {other}", claim=tables[0].source, other=new.source)
    else:
        sources.append(new)


def _contradict(source: _Source, new: _Source) -> None:
    source.findings.append(text("{claim} names version {version}", claim=new.source, version=new.version))
    if new.version is not None:
        source.other_versions.append(new.version)
    if source.claim.input is not None:
        source.weak = mixed_up_reason()


def _is_same_kind(one: Claim, other: Claim) -> bool:
    """Whether both claims come from one source, which may name several versions of a table."""
    return one.source == other.source or (one.input is not None and other.input is not None)


def mixed_up(reader: Provenance, runs: Iterable[Run]) -> frozenset[_Dataset]:
    """Return the datasets whose source in MLflow contradicts another claim of a run that logged them."""
    return frozenset(
        _dataset(run.experiment, claim.input)
        for run in runs
        if run.inputs
        for claims in (all_claims(Evidence(run=run, version=None, rules=reader.rules)),)
        for claim in claims
        if claim.input is not None and claim.version is not None and _is_contradicted(reader, claim, claims)
    )


def _is_contradicted(reader: Provenance, claim: Claim, claims: tuple[Claim, ...]) -> bool:
    """Whether the other claims about the table of a dataset input, or about no table, all name other versions."""
    place = _Source(claim, reader.find(claim), None).place
    others = [
        other.version
        for other in claims
        if other.input is None
        and other.version is not None
        and (other.table is None or _Source(other, reader.find(other), None).place == place)
    ]
    return bool(others) and claim.version not in others


def sharing_datasets(stores: Stores, run: Run | None) -> tuple[Run, ...]:
    """Return *run* and the runs of its experiment that logged the same datasets, unless a tag names its data."""
    if run is None or not run.inputs or "delta.version" in run.tags:
        return () if run is None else (run,)
    inputs = [
        claim.input
        for claim in all_claims(Evidence(run=run, version=None))
        if claim.input is not None and claim.version is not None
    ]
    others: list[Run] = []
    for item in inputs:
        with suppress(BadInput):  # MLflow cannot search for every name
            same = (condition("dataset.name", "=", item.name), condition("dataset.digest", "=", item.digest))
            others += stores.runs.page((run.experiment,), joined(same)).runs
    return (run, *others)


def _dataset(experiment: str, item: DatasetInput) -> _Dataset:
    return experiment, item.name, item.digest


def _why_nothing(run: Run | None, version: ModelVersion | None) -> str:
    if run is None and version is not None and not version.run_id:
        return text("the version names no run.")
    if run is None or run.is_deleted:
        return text("the run was deleted or erased.")
    return text("the run logged none.")


def _tables_by_id(stores: Stores) -> dict[str, Table]:
    """Return the registered tables by the id in their Delta log; a table that cannot be opened is left out."""
    tables: dict[str, list[Table]] = {}
    for table in stores.catalog.tables():
        try:
            table_id = stores.engine.snapshot(table).table_id
        except CoreError:
            continue
        tables.setdefault(table_id, []).append(table)
    # A copied folder has the id of its original: then the id alone does not say which one is meant.
    return {table_id: same[0] for table_id, same in tables.items() if len(same) == 1}


def _once(read: Callable[[], dict[str, Table]]) -> Callable[[], Mapping[str, Table]]:
    answers: list[dict[str, Table]] = []

    def once() -> Mapping[str, Table]:
        if not answers:
            answers.append(read())
        return answers[0]

    return once
