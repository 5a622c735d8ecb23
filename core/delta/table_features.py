"""Delta's table features, and what each engine does with them. tests/contract/test_table_features.py holds it to it.

Features that are not named here (none of the installed versions writes them) are left to the engine's own refusal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from core.entities import Table
from core.errors import FeatureUnsupported


class Support(str, Enum):
    """What an engine does with a table that has a feature; what it does not do it refuses, naming the feature."""

    FULL = "reads and writes"
    READS = "reads"
    NONE = "refuses"


DELTA_RS = "delta-rs"
SPARK = "spark"

# Deltalake 1.6.6 opens tables with typeWidening and fails at the first row: asked here, it is told beforehand.
FEATURES: Mapping[str, Mapping[str, Support]] = {
    "allowColumnDefaults": {DELTA_RS: Support.READS, SPARK: Support.FULL},
    "appendOnly": {DELTA_RS: Support.FULL, SPARK: Support.FULL},
    "changeDataFeed": {DELTA_RS: Support.FULL, SPARK: Support.FULL},
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
    "v2Checkpoint": {DELTA_RS: Support.FULL, SPARK: Support.FULL},
}


def unread(engine: str, features: Iterable[str]) -> tuple[str, ...]:
    """Those of *features* for which *engine* cannot read a table's rows."""
    return tuple(name for name in features if _support(engine, name) is Support.NONE)


def unwritten(engine: str, features: Iterable[str]) -> tuple[str, ...]:
    """Those of *features* for which *engine* cannot write to a table."""
    return tuple(name for name in features if _support(engine, name) is not Support.FULL)


def require_read(engine: str, table: Table, features: Iterable[str]) -> None:
    """Raises FeatureUnsupported, naming the features for which *engine* cannot read *table*."""
    if names := unread(engine, features):
        raise refused(engine, table, names, "read")


def require_written(engine: str, table: Table, features: Iterable[str]) -> None:
    """Raises FeatureUnsupported, naming the features for which *engine* cannot write to *table*."""
    if names := unwritten(engine, features):
        raise refused(engine, table, names, "write to")


def refused(engine: str, table: Table, names: Iterable[str], verb: str) -> FeatureUnsupported:
    """The refusal in one sentence, with the other engine where that one can."""
    listed = sorted(names)
    other = SPARK if engine == DELTA_RS else DELTA_RS
    can_read = verb == "read" and not unread(other, listed)
    knows = all(name in FEATURES for name in listed) and (can_read or not unwritten(other, listed))
    return FeatureUnsupported(
        f"{table.name} uses {', '.join(listed)}, which {engine} cannot {verb}"
        + (f"; use the {other} engine (MODELLEDGER_ENGINE={other})." if knows else "."),
        table=table.name,
        features=listed,
    )


def _support(engine: str, name: str) -> Support:
    return FEATURES.get(name, {}).get(engine, Support.FULL)
