"""StageRegistry: stages as MLflow's native stages (deprecated in MLflow since 2.9, still working)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from core.entities import Stage
from core.errors import ServerLacksCall
from core.registry.versions import MlflowRegistry


class StageRegistry(MlflowRegistry):
    """The stage is MLflow's `current_stage`. The aliases of Production and Staging follow the stage."""

    name = "native"
    # Production comes last: a failure halfway leaves no version in Production rather than two.
    _stage_order = (Stage.NONE, Stage.ARCHIVED, Stage.STAGING, Stage.PRODUCTION)

    def _before_stages(self, model: str, changed: Mapping[int, Stage]) -> None:
        # Readers recognise the middle of a promotion by the alias, so the alias must be on the old version.
        current = self.production(model)
        alias = self.stage_aliases(model)[Stage.PRODUCTION]
        if current is None or alias in current.aliases or Stage.PRODUCTION not in changed.values():
            return
        with suppress(ServerLacksCall), self._connection.client() as client:
            client.set_registered_model_alias(model, alias, str(current.version))

    def _stage_of(self, version: Any, aliases: Mapping[str, int]) -> Stage:
        return Stage(version.current_stage or "None")

    def _set_stage(self, client: Any, model: str, version: int, stage: Stage) -> None:
        with warnings.catch_warnings():
            # MLflow warns that stages are deprecated. registry/aliases.py is the implementation without them.
            warnings.simplefilter("ignore", FutureWarning)
            # archive_existing_versions has a race (FACTS.md: 198 of 200 tries): the caller moves each version itself.
            client.transition_model_version_stage(model, str(version), stage.value, archive_existing_versions=False)
