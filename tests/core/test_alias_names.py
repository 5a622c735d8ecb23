"""The names of aliases: per model or for all, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Stage
from core.errors import BadSettings
from core.registry.alias_names import AliasNames
from core.settings import load_settings


def test_names_are_those_of_the_model_then_of_every_model_then_the_default() -> None:
    names = AliasNames.parse({"*": {"Production": "champion"}, "churn": {"Production": "live", "Staging": "next-up"}})
    assert names.of("fraud") == {Stage.PRODUCTION: "champion", Stage.STAGING: "staging"}
    assert names.of("churn") == {Stage.PRODUCTION: "live", Stage.STAGING: "next-up"}
    assert AliasNames().of("fraud") == {Stage.PRODUCTION: "production", Stage.STAGING: "staging"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"*": {"production": "champion"}}, "the stage 'production' for '\\*'"),
        ({"m": {"Archived": "old"}}, "An alias stands for Production or Staging"),
        ({"m": {"Production": "my champion"}}, "'my champion' for 'm', which MLflow does not accept"),
        ({"m": {"Production": "champion\n"}}, "which MLflow does not accept"),
        ({"m": {"Production": ""}}, "which MLflow does not accept"),
        ({"m": {"Production": "a" * 256}}, "which MLflow does not accept"),
        ({"m": {"Production": "Latest"}}, "'Latest' for 'm', which MLflow reserves"),
        ({"m": {"Staging": "V12"}}, "'V12' for 'm', which MLflow reserves"),
        ({"m": {"Production": "live", "Staging": "Live"}}, "of 'm' the same alias 'Live'"),
        ({"*": {"Production": "staging"}}, "the same alias 'staging'"),
        ({"*": {"Staging": "champion"}, "m": {"Production": "champion"}}, "of 'm' the same alias 'champion'"),
    ],
)
def test_names_that_cannot_be_used_are_refused(setting: dict[str, dict[str, str]], message: str) -> None:
    with pytest.raises(BadSettings, match=message):
        AliasNames.parse(setting)


def test_setting_is_read_from_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELLEDGER_ALIASES", '{"*": {"Production": "champion"}}')
    assert open_stores(load_settings(home=home)).models.stage_aliases("m")[Stage.PRODUCTION] == "champion"
    monkeypatch.setenv("MODELLEDGER_ALIASES", '{"*": {"Production": "v1"}}')
    with pytest.raises(BadSettings, match="MODELLEDGER_ALIASES"):
        open_stores(load_settings(home=home))
    monkeypatch.setenv("MODELLEDGER_ALIASES", '{"*": "champion"}')
    with pytest.raises(BadSettings, match="MODELLEDGER_ALIASES"):
        load_settings(home=home)
