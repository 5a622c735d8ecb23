"""One model version on the page Models: its headline, evidence, signature and files."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.entities import Actor, IdentityVerdict, Readability
from core.errors import CoreError
from core.features.lineage.version_data import DataView
from core.features.runs.models import ModelVersionView, read_model_file
from core.features.stores import Stores
from core.texts import joined
from pages._runs import run_tables
from pages._runs.run_tables import metric_names, number
from pages._ui import escaping, messages, pickers
from pages._ui.texts import t, translated

_SHOWN_AS_TEXT = (".txt", ".yaml", ".yml", ".json", ".md", ".toml", ".cfg", ".csv")


def headline(view: ModelVersionView) -> None:
    """Show stage, data and format in one row, then a warning for each problem."""
    version = view.version
    st.subheader(messages.plain(version.key))
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(version.stage)
        messages.alias_badges(version.aliases)
        data = run_tables.data_labels(used.source for used in view.data)
        if data:
            st.caption(t("trained on {data}", data=messages.plain(data)), width="content")
        else:
            st.caption(t("trained on unknown data"), width="content")
        if view.info:
            st.caption(t("stored as {format}", format=view.info.format), width="content")
        else:
            st.caption(t("artifact unreadable"), width="content")
        st.caption(t("registered {time}", time=messages.local_time(version.created)), width="content")
        if view.run is not None:
            messages.badge(view.run.status)
    if version.description:
        escaping.text(version.description)
    for used in view.data:
        if used.is_other_data and used.identity is not None:
            st.error(messages.plain(translated(joined(used.identity.contradictions))), icon=":material/swap_horiz:")
    for problem in _problems(view):
        st.warning(messages.plain(problem), icon=":material/warning:")


def evidence(view: ModelVersionView) -> None:
    """Show the KPIs, the run and the data versions."""
    left, right = st.columns(2)
    _kpi_tables(view, at=left)
    if view.run is None:
        right.info(t("The run of this version is not available."))
    else:
        facts = {
            t("Run"): view.run.name,
            t("Run id"): view.run.run_id,
            t("Experiment"): view.run.experiment,
            t("By"): view.run.user,
            t("Started"): messages.local_time(view.run.started),
            t("Ended"): messages.local_time(view.run.ended),
            t("Code"): view.run.tags.get("mlflow.source.git.commit") or t("no git commit was logged"),
            **{t("param {name}", name=name): value for name, value in view.measured.params.items()},
        }
        escaping.table(_facts(facts), at=right, alt=t("The run of this version"))
    st.markdown(f"**{t('Data')}**")
    data = pd.DataFrame([_data_row(used) for used in view.data])
    escaping.table(data, style=messages.coloured, placeholder="–", alt=t("Data versions"))


def _kpi_tables(view: ModelVersionView, *, at: DeltaGenerator) -> None:
    """Show the KPIs of the version, then the values by dataset and those that are only the run's."""
    measured = view.measured
    rows = [{t("KPI"): name, t("Value"): number(view.metrics[name])} for name in metric_names([view.metrics])]
    if rows:
        escaping.table(pd.DataFrame(rows), at=at, alt=t("KPIs of this version"))
    else:
        at.info(t("This version has no KPIs of its own."))
    if measured.run_only:
        at.caption(t("KPIs of the run, not of this version"))
        run_rows = [{t("KPI"): name, t("Value"): number(value)} for name, value in sorted(measured.run_only.items())]
        escaping.table(pd.DataFrame(run_rows), at=at, alt=t("KPIs of the run, not of this version"))
    if any(metric.dataset for metric in measured.measured):
        at.caption(t("By dataset"))
        by_dataset = [
            {
                t("KPI"): metric.name,
                t("Dataset"): metric.dataset,
                t("Digest"): metric.digest,
                t("Value"): number(metric.value),
                t("Step"): metric.step,
                t("Time"): metric.timestamp,
            }
            for metric in measured.measured
        ]
        escaping.table(
            pd.DataFrame(by_dataset),
            at=at,
            placeholder="–",
            column_config={t("Time"): messages.time_column(t("Time"))},
            alt=t("KPIs of this version by dataset"),
        )


def signature(view: ModelVersionView) -> None:
    """Show inputs, outputs, requirements and format, read from the model's files without loading the model."""
    if view.info is None:
        st.info(t("The signature is unknown because the artifact cannot be read."))
        return
    escaping.text(t("Stored as {format}: {reason}", format=view.info.format, reason=view.info.why))
    left, right = st.columns(2)
    columns = [(t("input"), column) for column in view.info.inputs]
    columns += [(t("output"), column) for column in view.info.outputs]
    rows = [{t("Role"): role, t("Column"): column.name, t("Type"): column.type} for role, column in columns]
    left.markdown(f"**{t('Signature')}**")
    if rows:
        escaping.table(pd.DataFrame(rows), at=left, alt=t("Signature"))
    else:
        left.info(t("The model has no signature."))
    right.markdown(f"**{t('Requirements')}**")
    escaping.code("\n".join(view.info.requirements) or t("No requirements are stored."), at=right)
    st.markdown(f"**{t('Library versions')}**")
    escaping.table(_facts(view.info.made_with), alt=t("Versions of the libraries that made the model"))


def files(stores: Stores, actor: Actor, view: ModelVersionView) -> None:
    """Show the files of the artifact; each can be downloaded, and the content of a text file is shown."""
    if not view.artifacts:
        st.info(t("The artifact has no files."))
        return
    rows = [{t("File"): item.path, t("Bytes"): item.size_bytes} for item in view.artifacts if not item.is_folder]
    escaping.table(pd.DataFrame(rows), alt=t("Files of the artifact"))
    paths = [item.path for item in view.artifacts if not item.is_folder]
    path = pickers.choose(t("File"), paths, "models_file", of=str(view.version.key))
    if path is None:
        return
    try:
        content = read_model_file(stores, actor, view.version.key, path)
    except CoreError as error:
        messages.show_error(error)
        return
    name = path.rsplit("/", 1)[-1]
    st.download_button(t("Download"), content, file_name=name, icon=":material/download:", key="models_download")
    if name == "MLmodel" or name.endswith(_SHOWN_AS_TEXT):
        escaping.code(content.decode("utf-8", errors="replace"))


def _problems(view: ModelVersionView) -> list[str]:
    problems = [problem for problem in (view.run_problem, view.info_problem) if problem]
    problems += [t("Run: {note}.", note=note) for note in view.notes if note != "deleted in MLflow"]
    problems += [t("KPIs: {note}.", note=note) for note in view.measured.notes]
    if view.info is not None and not view.info.is_safe:
        problems.append(t("ModelLedger does not load this model: {reason}", reason=view.info.why))
    problems += [
        t(
            "The metric {metric} was changed at {time}, after its run had ended.",
            metric=name,
            time=messages.local_time(time),
        )
        for name, time in view.late_metrics.items()
    ]
    for used in view.data:
        if used.source.key is not None:
            problems += [t("Data: {finding}.", finding=finding) for finding in used.source.findings]
        if used.source.weak:
            problems.append(t("Data: {problem}", problem=used.source.weak))
        if used.verdict is not None and not used.verdict.is_readable:
            problems.append(
                t(
                    "The rows of {data} can no longer be read ({verdict}): {reason}",
                    data=used.source.key,
                    verdict=messages.word(used.verdict.verdict),
                    reason=used.verdict.reason,
                )
            )
        elif used.problem and used.source.is_training:
            problems.append(t("Data: {problem}", problem=used.problem))
    return problems


def _data_row(used: DataView) -> dict[str, object]:
    source = used.source
    is_elsewhere = source.resolved is None or source.claimed != source.resolved.name
    return {
        t("Data version"): run_tables.data_labels([source]) or str(source) if source.claimed else t("unknown"),
        t("Use"): t("training") if source.is_training else t("evaluation"),
        t("Claimed by"): source.source_of_truth,
        t("Claimed as"): source.claimed if is_elsewhere else None,
        t("Rows"): messages.label(used.verdict.verdict if used.verdict else Readability.UNKNOWN),
        t("Identity"): messages.label(used.identity.verdict if used.identity else IdentityVerdict.UNPROVEN),
        t("Reason"): used.problem or (used.verdict.reason if used.verdict else None),
        t("Findings"): "; ".join(filter(None, (*source.findings, source.weak))) or None,
    }


def _facts(facts: Mapping[str, object]) -> pd.DataFrame:
    return pd.DataFrame([{t("Field"): name, t("Value"): value} for name, value in facts.items()])
