"""Models on a page: tables of models and versions, and the evidence of one version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from core.entities import Actor, Finding, ModelVersionKey, Readability
from core.errors import CoreError
from core.features.lineage.version_data import DataView
from core.features.monitoring.findings import findings_about_version
from core.features.runs.models import ModelSummary, ModelVersionView, read_model_file
from core.features.stores import Stores
from pages._audit import finding_views
from pages._runs.run_tables import metric_names, number
from pages._ui import escaping, messages, paging, pickers

_SHOWN_AS_TEXT = (".txt", ".yaml", ".yml", ".json", ".md", ".toml", ".cfg", ".csv")
PAGE_VERSIONS = 200


def models_table(models: tuple[ModelSummary, ...]) -> None:
    """One line per model: what serves and how good it is."""
    rows = []
    for model in models:
        serving = next((version for version in model.versions if version.version == model.production), None)
        rows.append(
            {
                "Model": model.name,
                "In Production": f"version {serving.version}" if serving else "nothing",
                "KPIs in Production": _kpis(serving.metrics) if serving else None,
                "Data in Production": ", ".join(map(str, serving.data)) if serving else None,
                "Versions": len(model.versions),
                "Last change": model.updated,
            }
        )
    escaping.table(
        pd.DataFrame(rows),
        placeholder="–",
        column_config={"Last change": messages.time_column("Last change")},
        alt="Registered models and what serves",
    )


def versions_table(model: ModelSummary, findings: Sequence[Finding]) -> None:
    """One line per version, newest first, page by page, with how many of *findings* are open on it."""
    last = paging.last_page(len(model.versions), PAGE_VERSIONS) or 1
    page = min(paging.asked("models_page", of=model.name), last)
    shown = model.versions[(page - 1) * PAGE_VERSIONS : page * PAGE_VERSIONS]
    marks = {
        one.version: finding_views.marks(
            findings_about_version(findings, ModelVersionKey(model=model.name, version=one.version))
        )
        for one in shown
    }
    names = sorted({name for version in shown for name in version.metrics}, key=_position)
    rows = [
        {
            "Version": version.version,
            "Stage": messages.word(version.stage),
            **({"Findings": marks[version.version]} if any(marks.values()) else {}),
            "Data version": ", ".join(map(str, version.data)) or "no data version",
            **{name: version.metrics.get(name) for name in names},
            "Run": version.run_name,
            "Run id": version.run_id,
            "By": version.user,
            "Created": version.created,
            "Aliases": ", ".join(version.aliases) or None,
            "Problem": version.problem,
        }
        for version in shown
    ]
    escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        placeholder="–",
        height=min(36 * (len(rows) + 1) + 3, 360),
        column_config={
            **{name: st.column_config.NumberColumn(format="%.4f") for name in names},
            "TrainRows": st.column_config.NumberColumn(format="%d"),
            "TestRows": st.column_config.NumberColumn(format="%d"),
            "Created": messages.time_column("Created"),
        },
        alt=f"Versions of {model.name}, newest first",
    )
    if last > 1:
        paging.turn("models_page", page, last=last, of=model.name)


def headline(view: ModelVersionView) -> None:
    """Stage, data and format in one row, where to go from here, and every reason for doubt."""
    version = view.version
    st.subheader(messages.plain(version.key))
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(version.stage)
        known = [str(one.source.key) for one in view.data if one.source.key]
        st.caption(f"trained on {messages.plain(', '.join(known) or 'unknown data')}", width="content")
        st.caption(f"stored as {view.info.format if view.info else 'unreadable'}", width="content")
        st.caption(f"registered {messages.local(version.created)}", width="content")
        if view.run is not None:
            messages.badge(view.run.status)
    if version.description:
        escaping.text(version.description)
    for doubt in _doubts(view):
        st.warning(messages.plain(doubt), icon=":material/warning:")


def evidence(view: ModelVersionView) -> None:
    """KPIs, data versions and the run that made it."""
    if view.run is None:
        st.info("There is no run to show.")
    else:
        rows = [{"KPI": name, "Value": number(view.metrics[name])} for name in metric_names([view.run])]
        left, right = st.columns(2)
        escaping.table(pd.DataFrame(rows), at=left, alt="KPIs of the run")
        facts = {
            "Run": view.run.name,
            "Run id": view.run.run_id,
            "Experiment": view.run.experiment,
            "By": view.run.user,
            "Started": messages.local(view.run.started),
            "Ended": messages.local(view.run.ended),
            "Code": view.run.tags.get("mlflow.source.git.commit", "no commit was logged"),
            **{f"param {name}": value for name, value in view.run.params.items()},
        }
        escaping.table(_facts(facts), at=right, alt="The run behind this version")
    st.markdown("**Data**")
    data = pd.DataFrame([_data_row(one) for one in view.data])
    escaping.table(data, style=messages.coloured, placeholder="–", alt="Data versions")


def signature(view: ModelVersionView) -> None:
    """Inputs, outputs, requirements and how the model is stored; read from its files, without loading it."""
    if view.info is None:
        st.info("Its artifact cannot be read, so nothing is known of its signature.")
        return
    escaping.text(f"Stored as {view.info.format}: {view.info.why}")
    left, right = st.columns(2)
    columns = [("input", column) for column in view.info.inputs] + [("output", column) for column in view.info.outputs]
    rows = [{"Role": role, "Column": column.name, "Type": column.type} for role, column in columns]
    left.markdown("**Signature**")
    if rows:
        escaping.table(pd.DataFrame(rows), at=left, alt="Signature")
    else:
        left.info("The model has no signature.")
    right.markdown("**Requirements**")
    escaping.code("\n".join(view.info.requirements) or "none were stored", at=right)
    st.markdown("**Made with**")
    escaping.table(_facts(view.info.made_with), alt="Versions that the model was made with")


def files(stores: Stores, actor: Actor, view: ModelVersionView) -> None:
    """The artifact's files; a text is shown, any of them can be downloaded."""
    if not view.artifacts:
        st.info("There are no files to show.")
        return
    rows = [{"File": item.path, "Bytes": item.size_bytes} for item in view.artifacts if not item.is_folder]
    escaping.table(pd.DataFrame(rows), alt="Files of the artifact")
    names = [str(row["File"]) for row in rows]
    path = pickers.choose("File", names, "models_file", of=str(view.version.key))
    if path is None:
        return
    try:
        content = read_model_file(stores, actor, view.version.key, path)
    except CoreError as error:
        messages.show_error(error)
        return
    name = path.rsplit("/", 1)[-1]
    st.download_button("Download", content, file_name=name, icon=":material/download:", key="models_download")
    if name == "MLmodel" or name.endswith(_SHOWN_AS_TEXT):
        escaping.code(content.decode("utf-8", errors="replace"))


def _doubts(view: ModelVersionView) -> list[str]:
    found = [text for text in (view.run_problem, view.info_problem) if text]
    found += [f"Run: {note}." for note in view.notes if note != "deleted in MLflow"]
    if view.info is not None and not view.info.is_safe:
        found.append(f"It will not be loaded here: {view.info.why}")
    found += [
        f"The metric {name} was changed at {messages.local(time)}, after its run had ended."
        for name, time in view.late_metrics.items()
    ]
    for one in view.data:
        found += [f"Data: {text}." for text in one.source.findings if one.source.key is not None]
        if one.verdict is not None and not one.verdict.is_readable:
            found.append(f"{one.source.key} can no longer be shown ({one.verdict.verdict.value}): {one.verdict.reason}")
        elif one.problem:
            found.append(f"Data: {one.problem}")
    return found


def _data_row(one: DataView) -> dict[str, object]:
    verdict = messages.word(one.verdict.verdict if one.verdict else Readability.UNKNOWN)
    return {
        "Data version": str(one.source.key) if one.source.key else "unknown",
        "Said by": one.source.source_of_truth,
        "Rows can be shown": verdict,
        "Why": one.problem or (one.verdict.reason if one.verdict else None),
        "Contradicted by": "; ".join(one.source.findings) or None,
    }


def _kpis(values: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name} {number(values[name])}" for name in sorted(values, key=_position) if not name.endswith("Rows")
    )


def _position(name: str) -> tuple[int, str]:
    order = ("precision", "recall", "f1", "accuracy", "roc_auc", "log_loss", "rmse", "mae", "mape", "r2")
    return (order.index(name) if name in order else len(order) + name.endswith("Rows"), name)


def _facts(facts: Mapping[str, object]) -> pd.DataFrame:
    return pd.DataFrame([{"Fact": name, "Value": value} for name, value in facts.items()])
