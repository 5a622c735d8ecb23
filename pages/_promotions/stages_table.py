"""The stage of every version of a model, as a table."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from core.entities import Stage
from pages._ui import escaping, messages
from pages._ui.texts import t


def stages_table(stages: Mapping[str, str]) -> None:
    """Show the stage of every version, newest first."""
    rows = [
        {t("Version"): int(version), t("Stage"): messages.label(Stage(stages[version]))}
        for version in sorted(stages, key=int, reverse=True)
    ]
    escaping.table(pd.DataFrame(rows), style=messages.coloured, width="content", alt=t("Stage of every version"))
