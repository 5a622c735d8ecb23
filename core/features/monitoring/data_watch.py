"""Finds training data that was replaced: another table, or other rows, under the name of the data of a model."""

from __future__ import annotations

from core.entities import Agreement, Comparison, DataSource, Difference, Identity, ModelVersion
from core.features.lineage.identity import KnownFacts, is_own_training
from core.features.lineage.provenance import provenance
from core.features.lineage.version_data import identities_of
from core.features.stores import Stores
from core.features.takeover.acceptances import find_untaken
from core.texts import joined

REPLACED_DATA = "data replaced"


def find_replaced_data(stores: Stores) -> tuple[Difference, ...]:
    """Compare the data of every model version with what its training recorded. Only the logs of the tables are read.

    A table that cannot be opened now is left out, and so are trainings elsewhere of a model that is not taken over yet.
    Makes a constant number of registry calls.

    Raises:
        RegistryUnavailable: the registry does not answer.
    """
    versions = stores.models.versions()
    runs = stores.runs.get_many([version.run_id for version in versions if version.run_id], fresh=True)
    reader = provenance(stores, runs.values())
    untaken = {model.model for model in find_untaken(stores, versions)}
    known: KnownFacts = {}
    return tuple(
        replaced_data(version, source, identity)
        for version in versions
        for run in (runs.get(version.run_id or ""),)
        if version.model not in untaken or is_own_training(run)
        for source, identity in identities_of(stores, run, version, reader.sources(run, version), known)
        if identity.is_contradicted
    )


def replaced_data(version: ModelVersion, source: DataSource, identity: Identity) -> Difference:
    """Return the difference for data that contradicts what the training of *version* recorded."""
    differing = [c for c in identity.comparisons if c.agreement is Agreement.CONTRADICTS]
    return Difference(
        kind=REPLACED_DATA,
        subject=str(version.key),
        expected=f"{source}: {_facts(differing, is_recorded=True)}",
        found=f"{source}: {_facts(differing, is_recorded=False)}",
        detail=joined(identity.contradictions),
    )


def _facts(comparisons: list[Comparison], *, is_recorded: bool) -> str:
    return ", ".join(f"{c.fact.value.replace('_', ' ')} {c.recorded if is_recorded else c.now}" for c in comparisons)
