"""StageRegistry: stages as MLflow's native stages (deprecated there since 2.9, still working)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from core.entities import Stage
from core.registry.versions import MlflowRegistry


class StageRegistry(MlflowRegistry):
    """The stage is `current_stage`; the aliases `production` and `staging` are kept beside it."""

    name = "native"

    def _stage_of(self, version: Any, aliases: Mapping[str, int]) -> Stage:
        return Stage(version.current_stage or "None")

    def _move(self, client: Any, model: str, version: int, stage: Stage) -> None:
        with warnings.catch_warnings():
            # We know that it is deprecated: registry/aliases.py is what follows.
            warnings.simplefilter("ignore", FutureWarning)
            # archive_existing_versions races (FACTS.md: 198 of 200): the caller names every version itself.
            client.transition_model_version_stage(model, str(version), stage.value, archive_existing_versions=False)
