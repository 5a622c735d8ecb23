"""AliasRegistry: stages as aliases and a tag, for registries that have no stages (Unity Catalog, a later MLflow)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.entities import Stage
from core.registry.versions import MlflowRegistry

STAGE_TAG = "stage"


class AliasRegistry(MlflowRegistry):
    """The alias of Production decides which version is in Production, that of Staging which is in Staging.

    The tag `stage` distinguishes Archived and None. An alias points to one version, so a model never has two
    versions in Production. A version whose tag says Production but which does not hold the alias is read as Archived.
    """

    name = "aliases"
    is_stage_an_alias = True
    # The alias leaves one version when it reaches the other: exactly one is in Production at each moment.
    _stage_order = (Stage.PRODUCTION, Stage.STAGING, Stage.ARCHIVED, Stage.NONE)

    def _stage_of(self, version: Any, aliases: Mapping[str, int]) -> Stage:
        number, names = int(version.version), self.stage_aliases(version.name)
        if aliases.get(names[Stage.PRODUCTION]) == number:
            return Stage.PRODUCTION
        tag = str((version.tags or {}).get(STAGE_TAG, Stage.NONE.value))
        if aliases.get(names[Stage.STAGING]) == number and tag != Stage.ARCHIVED.value:
            return Stage.STAGING
        if tag == Stage.PRODUCTION.value:
            return Stage.ARCHIVED
        return Stage(tag) if tag in {Stage.NONE.value, Stage.ARCHIVED.value} else Stage.NONE

    def _set_stage(self, client: Any, model: str, version: int, stage: Stage) -> None:
        registered = client.get_registered_model(model)
        aliases = {alias: int(number) for alias, number in registered.aliases.items()}
        for alias_stage, alias in self.stage_aliases(model).items():
            if stage is alias_stage:
                client.set_registered_model_alias(model, alias, str(version))
            elif aliases.get(alias) == version:
                client.delete_registered_model_alias(model, alias)
        client.set_model_version_tag(model, str(version), STAGE_TAG, stage.value)
        # A tag does not change the model's time of last update, by which other readers notice a change; writing the
        # description does.
        client.update_registered_model(model, registered.description or "")
