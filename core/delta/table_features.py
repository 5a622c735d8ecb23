"""Table features of Delta, and which engine supports them. tests/contract/test_table_features.py checks this table.

No installed version writes a feature that is not listed here. If a table has one, the engine itself refuses the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from core.entities import Table
from core.errors import FeatureUnsupported


class Support(str, Enum):
    """What an engine can do with a table that has a feature. It refuses everything else and names the feature."""

    FULL = "reads and writes"
    READS = "reads"
    NONE = "refuses"


DELTA_RS = "delta-rs"
SPARK = "spark"

# deltalake 1.6.6 opens tables with typeWidening, variantShredding and vacuumProtocolCheck and fails at the first row;
# this table reports the refusal before. Spark opens a catalog-managed table by its name in the catalog.
FEATURES: Mapping[str, Mapping[str, Support]] = {
    "allowColumnDefaults": {DELTA_RS: Support.READS, SPARK: Support.FULL},
    "appendOnly": {DELTA_RS: Support.FULL, SPARK: Support.FULL},
    "changeDataFeed": {DELTA_RS: Support.FULL, SPARK: Support.FULL},
    "catalogManaged": {DELTA_RS: Support.NONE, SPARK: Support.FULL},
    "catalogOwned-preview": {DELTA_RS: Support.NONE, SPARK: Support.FULL},
    "checkConstraints": {DELTA_RS: Support.FULL, SPARK: Support.FULL},
    "clustering": {DELTA_RS: Support.READS, SPARK: Support.FULL},
    "columnMapping": {DELTA_RS: Support.FULL, SPARK: Support.FULL},
    "deletionVectors": {DELTA_RS: Support.FULL, SPARK: Support.FULL},
    "domainMetadata": {DELTA_RS: Support.READS, SPARK: Support.FULL},
    "generatedColumns": {DELTA_RS: Support.FULL, SPARK: Support.FULL},
    "identityColumns": {DELTA_RS: Support.READS, SPARK: Support.FULL},
    "inCommitTimestamp": {DELTA_RS: Support.READS, SPARK: Support.FULL},
    "invariants": {DELTA_RS: Support.FULL, SPARK: Support.FULL},
    "rowTracking": {DELTA_RS: Support.READS, SPARK: Support.FULL},
    "timestampNtz": {DELTA_RS: Support.FULL, SPARK: Support.FULL},
    "typeWidening": {DELTA_RS: Support.NONE, SPARK: Support.FULL},
    "typeWidening-preview": {DELTA_RS: Support.NONE, SPARK: Support.FULL},
    "v2Checkpoint": {DELTA_RS: Support.FULL, SPARK: Support.FULL},
    "vacuumProtocolCheck": {DELTA_RS: Support.NONE, SPARK: Support.FULL},
    "variantShredding": {DELTA_RS: Support.NONE, SPARK: Support.FULL},
    "variantShredding-preview": {DELTA_RS: Support.NONE, SPARK: Support.FULL},
}


def unread(engine: str, features: Iterable[str]) -> tuple[str, ...]:
    """Return the *features* that prevent *engine* from reading a table."""
    return tuple(name for name in features if _support(engine, name) is Support.NONE)


def unwritten(engine: str, features: Iterable[str]) -> tuple[str, ...]:
    """Return the *features* that prevent *engine* from writing to a table."""
    return tuple(name for name in features if _support(engine, name) is not Support.FULL)


def require_read(engine: str, table: Table, features: Iterable[str]) -> None:
    """Raise FeatureUnsupported, which names the features, if *engine* cannot read *table*."""
    if names := unread(engine, features):
        raise unreadable(engine, table, names)


def require_written(engine: str, table: Table, features: Iterable[str]) -> None:
    """Raise FeatureUnsupported, which names the features, if *engine* cannot write to *table*."""
    if names := unwritten(engine, features):
        raise unwritable(engine, table, names)


def unreadable(engine: str, table: Table, features: Iterable[str]) -> FeatureUnsupported:
    """Return the error for a table that *engine* cannot read; it names the other engine if that one can."""
    names = sorted(features)
    listed, other = ", ".join(names), _other(engine)
    if all(name in FEATURES for name in names) and not unread(other, names):
        return FeatureUnsupported(
            "{table} uses {listed}, which {engine} cannot read. Use the {other} engine (MODELLEDGER_ENGINE={other}).",
            table=table.name,
            listed=listed,
            engine=engine,
            other=other,
            features=names,
        )
    return FeatureUnsupported(
        "{table} uses {listed}, which {engine} cannot read.",
        table=table.name,
        listed=listed,
        engine=engine,
        features=names,
    )


def unwritable(engine: str, table: Table, features: Iterable[str]) -> FeatureUnsupported:
    """Return the error for a table to which *engine* cannot write; it names the other engine if that one can."""
    names = sorted(features)
    listed, other = ", ".join(names), _other(engine)
    if all(name in FEATURES for name in names) and not unwritten(other, names):
        return FeatureUnsupported(
            "{table} uses {listed}, which {engine} cannot write to. Use the {other} engine "
            "(MODELLEDGER_ENGINE={other}).",
            table=table.name,
            listed=listed,
            engine=engine,
            other=other,
            features=names,
        )
    return FeatureUnsupported(
        "{table} uses {listed}, which {engine} cannot write to.",
        table=table.name,
        listed=listed,
        engine=engine,
        features=names,
    )


def _other(engine: str) -> str:
    return SPARK if engine == DELTA_RS else DELTA_RS


def _support(engine: str, name: str) -> Support:
    return FEATURES.get(name, {}).get(engine, Support.FULL)
