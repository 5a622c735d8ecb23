"""Alias names: the aliases by which a team names the versions in Production and in Staging."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from core.entities import Stage
from core.errors import BadSettings

_DEFAULT = {Stage.PRODUCTION: "production", Stage.STAGING: "staging"}
_ANY_MODEL = "*"
# MLflow's rules. Source: mlflow/utils/validation.py.
_VALID = re.compile(r"[\w-]{1,255}")
_RESERVED = re.compile(r"latest|v\d+", re.IGNORECASE)


@dataclass(frozen=True)
class AliasNames:
    """The alias of each stage, by model; `*` names those of every model that has none of its own."""

    by_model: Mapping[str, Mapping[Stage, str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, setting: Mapping[str, Mapping[str, str]]) -> AliasNames:
        """Return the names that MODELLEDGER_ALIASES gives: {model or "*": {"Production": alias, "Staging": alias}}.

        Raises:
            BadSettings: a stage is unknown, MLflow does not accept an alias, or one alias stands for two stages.
        """
        names = cls(
            {model: {_stage(model, name): alias for name, alias in of.items()} for model, of in setting.items()}
        )
        for model in setting:
            _check(model, names.of(model))
        return names

    def of(self, model: str) -> Mapping[Stage, str]:
        """Return the alias of Production and of Staging for *model*."""
        return {**_DEFAULT, **self.by_model.get(_ANY_MODEL, {}), **self.by_model.get(model, {})}


def _stage(model: str, name: str) -> Stage:
    stage = next((stage for stage in _DEFAULT if stage.value == name), None)
    if stage is None:
        raise BadSettings(
            "MODELLEDGER_ALIASES names the stage {stage!r} for {model!r}. An alias stands for Production or Staging.",
            stage=name,
            model=model,
            setting="MODELLEDGER_ALIASES",
        )
    return stage


def _check(model: str, names: Mapping[Stage, str]) -> None:
    for alias in names.values():
        if not _VALID.fullmatch(alias):
            raise BadSettings(
                "MODELLEDGER_ALIASES has the alias {alias!r} for {model!r}, which MLflow does not accept: use 1 to 255 "
                "letters, digits, - and _.",
                alias=alias,
                model=model,
                setting="MODELLEDGER_ALIASES",
            )
        if _RESERVED.fullmatch(alias):
            raise BadSettings(
                "MODELLEDGER_ALIASES has the alias {alias!r} for {model!r}, which MLflow reserves. Use another alias.",
                alias=alias,
                model=model,
                setting="MODELLEDGER_ALIASES",
            )
    production, staging = names[Stage.PRODUCTION], names[Stage.STAGING]
    # Some databases compare aliases without regard to case.
    if production.lower() == staging.lower():
        raise BadSettings(
            "MODELLEDGER_ALIASES gives Production and Staging of {model!r} the same alias {alias!r}. Use two aliases.",
            model=model,
            alias=staging,
            setting="MODELLEDGER_ALIASES",
        )
