"""AliasRegistry: stages as aliases and a tag, for registries that have no stages (Unity Catalog, a later MLflow)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.entities import Stage
from core.registry.versions import PRODUCTION_ALIAS, STAGING_ALIAS, MlflowRegistry

STAGE_TAG = "stage"


class AliasRegistry(MlflowRegistry):
    """The alias `production` is the truth for Production, `staging` for Staging; the tag `stage` tells the rest.

    An alias names one version: two in Production cannot be. A tag that claims Production without the alias
    reads as Archived: it served once.
    """

    name = "aliases"
    is_stage_an_alias = True

    def _stage_of(self, version: Any, aliases: Mapping[str, int]) -> Stage:
        number = int(version.version)
        if aliases.get(PRODUCTION_ALIAS) == number:
            return Stage.PRODUCTION
        tagged = str((version.tags or {}).get(STAGE_TAG, Stage.NONE.value))
        if aliases.get(STAGING_ALIAS) == number and tagged != Stage.ARCHIVED.value:
            return Stage.STAGING
        if tagged == Stage.PRODUCTION.value:
            return Stage.ARCHIVED
        return Stage(tagged) if tagged in {Stage.NONE.value, Stage.ARCHIVED.value} else Stage.NONE

    def _move(self, client: Any, model: str, version: int, stage: Stage) -> None:
        found = client.get_registered_model(model)
        aliases = {alias: int(number) for alias, number in found.aliases.items()}
        for held, alias in ((Stage.PRODUCTION, PRODUCTION_ALIAS), (Stage.STAGING, STAGING_ALIAS)):
            if stage is held:
                client.set_registered_model_alias(model, alias, str(version))
            elif aliases.get(alias) == version:
                client.delete_registered_model_alias(model, alias)
        client.set_model_version_tag(model, str(version), STAGE_TAG, stage.value)
        # A tag moves no time of last change, by which other readers learn of it; writing the description does.
        client.update_registered_model(model, found.description or "")
