"""Pictures that runs logged: of a version beside Production, of a request's evidence, of several runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import streamlit as st

from core.entities import Actor, ModelVersionKey
from core.errors import CoreError
from core.features.runs.pictures import run_pictures, version_pictures
from core.features.stores import Stores
from core.learning.pictures.pictures import Pictures
from pages._runs import picture_charts
from pages._ui import messages
from pages._ui.texts import t, translated


def show_beside_production(stores: Stores, actor: Actor, key: ModelVersionKey, production: int | None) -> None:
    """Show the pictures of *key*, and beside them those of the version in Production if that is another one."""
    versions = {str(key): key}
    if production is not None and production != key.version:
        rival = ModelVersionKey(model=key.model, version=production)
        versions[t("{version} in Production", version=rival)] = rival
    _show_read({name: partial(version_pictures, stores, actor, version) for name, version in versions.items()})


def show_evidence(stores: Stores, actor: Actor, evidence: Mapping[str, Any]) -> None:
    """Offer the pictures of the two versions that the evidence of a request compares."""
    if not st.toggle(t("Show pictures of candidate and Production"), key="promotions_pictures"):
        return
    keys = [evidence.get(side, {}).get("model_version") for side in ("candidate", "production")]
    versions = [ModelVersionKey(model=model, version=int(n)) for model, _, n in (k.rpartition("/") for k in keys if k)]
    _show_read({str(version): partial(version_pictures, stores, actor, version) for version in versions})


def show_runs(stores: Stores, actor: Actor, runs: Mapping[str, str]) -> None:
    """Show the pictures of *runs*, which maps a name to a run id."""
    _show_read({name: partial(run_pictures, stores, actor, run_id) for name, run_id in runs.items()})


def _show_read(readers: Mapping[str, Callable[[], Pictures | None]]) -> None:
    """Read the pictures of each name and show them. Says whose pictures are missing or cannot be read."""
    named: dict[str, Pictures] = {}
    without = []
    for name, read in readers.items():
        try:
            pictures = read()
        except CoreError as error:
            st.warning(f"{messages.plain(name)}: {messages.plain(translated(error))}", icon=":material/broken_image:")
            continue
        if pictures is None:
            without.append(name)
        else:
            named[name] = pictures
    if without:
        st.info(t("The run of {names} logged no pictures.", names=messages.plain(", ".join(without))))
    if named:
        picture_charts.show(named, key="pictures")
