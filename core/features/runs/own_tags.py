"""Tags that MLflow or ModelLedger writes and reads, and tags that are claims about data: people do not edit them."""

from __future__ import annotations

from core.features.lineage.claim_rules import read_rules
from core.features.stores import Stores
from core.registry.aliases import STAGE_TAG
from core.texts import text

_PREFIXES = ("mlflow.", "modelledger.", "delta.")
# Those that a training in ModelLedger writes, and that of Spark's autologging.
_NAMES = frozenset({"recipe", "estimator", "task", "run_id", "model.name", "sparkDatasourceInfo", STAGE_TAG})


def is_own_tag(name: str) -> bool:
    """Return whether MLflow or ModelLedger writes the tag *name* and reads it again."""
    return name.lower().startswith(_PREFIXES) or name in _NAMES


def why_protected(stores: Stores, name: str) -> str | None:
    """Return why the tag *name* of a model or a version cannot be edited; None if it can be."""
    if is_own_tag(name):
        return text("The tag {name} belongs to MLflow or ModelLedger and cannot be edited here.", name=name)
    rules, _ = read_rules(stores.settings.claims)
    if any(rule.names_tag(name) for rule in rules):
        return text(
            "The tag {name} says what a model was trained on (MODELLEDGER_CLAIMS), so it cannot be edited here.",
            name=name,
        )
    return None
