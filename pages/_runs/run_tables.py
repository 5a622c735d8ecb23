"""Tables of runs: one row per run, and a comparison that marks and colours better and worse values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd
from pandas.io.formats.style import Styler

from core.entities import DataSource, ModelVersion, Run, Stage
from core.features.runs.compare import Comparison, Direction, is_version
from core.features.runs.runs import run_notes
from core.learning.kpis import CLASSIFICATION_METRICS, REGRESSION_METRICS, is_lower_better, metric_text
from core.texts import text
from pages._ui import messages
from pages._ui.texts import t, translated

# A sign and a word, because one reader in twelve cannot tell the colours apart.
_DIRECTIONS = {
    Direction.BETTER: text("▲ better"),
    Direction.WORSE: text("▼ worse"),
    Direction.SAME: text("◆ same"),
    Direction.UNKNOWN: "",
}
# At least 4:1 on white and on Streamlit's dark grey.
BETTER_COLOUR, WORSE_COLOUR = "#1A8754", "#D9480F"


def data_label(run: Run) -> str:
    """Return the data version of the run, such as "iris@2", or that the run has none."""
    return data_labels(run.data) or t("no data version")


def data_labels(sources: Iterable[DataSource]) -> str:
    """Return the training data, such as "iris@2, stock@5": first what is a version, else what names none."""
    training = [source for source in sources if source.is_training]
    shown = [source for source in training if source.version is not None]
    shown = shown or [source for source in training if source.claimed is not None]
    return ", ".join(dict.fromkeys(_data_label(source) for source in shown))


def _data_label(source: DataSource) -> str:
    if source.version is None:
        return t("{table}, version unknown", table=source.table)
    if source.claimed is None:
        return t("version {version} of an unknown table", version=source.version)
    label = str(source)
    if source.resolved is None:
        return t("{data} (not registered)", data=label)
    return t("{data} (weak claim)", data=label) if source.is_weak else label


def run_label(run: Run) -> str:
    """Return the run's name with the first characters of its id, because names are not unique; a version's MODEL/N."""
    if is_version(run.run_id):
        return run.run_id
    return f"{run.name or t('run')} ({run.run_id[:8]})"


def header(run: Run, found: Comparison) -> str:
    """Return the name of a run's column: its version if it has one version that has no column of its own."""
    versions = found.versions.get(run.run_id, ())
    is_named_by_version = len(versions) == 1 and str(versions[0].key) not in {other.run_id for other in found.runs}
    return str(versions[0].key) if is_named_by_version else run_label(run)


def number(value: float | None) -> str:
    """Return a metric with four significant digits; undefined values as NaN or ∞."""
    if value is None:
        return "–"
    is_whole = math.isfinite(value) and value == int(value) and abs(value) >= 1000
    shown = f"{value:,.0f}" if is_whole else metric_text(value)
    # A minus sign instead of a hyphen: a spreadsheet reads a cell that begins with a hyphen as a formula.
    return f"−{shown[1:]}" if shown.startswith("-") else shown


def metric_names(metrics: Iterable[Mapping[str, float]]) -> list[str]:
    """Return every name in *metrics*: the KPIs in their own order, then other metrics, the row counts last."""
    names = {name for values in metrics for name in values}
    standard = [name for name in (*CLASSIFICATION_METRICS, *REGRESSION_METRICS) if name in names]
    counts = [name for name in ("TrainRows", "TestRows") if name in names]
    return [*standard, *sorted(names - {*standard, *counts}), *counts]


def run_rows(
    runs: Sequence[Run], versions: Mapping[str, Sequence[ModelVersion]], metrics: Sequence[Mapping[str, object]]
) -> pd.DataFrame:
    """Return one row per run, with its cells of *metrics* and with doubts about it in the last column."""
    return pd.DataFrame(
        [
            {
                t("Run"): run.name or run.run_id[:8],
                t("Data version"): data_label(run),
                t("Model version"): ", ".join(_with_stage(version) for version in versions.get(run.run_id, ())) or None,
                t("Status"): messages.label(run.status),
                **cells,
                t("Started"): run.started,
                t("By"): run.user,
                t("Experiment"): run.experiment,
                t("Run id"): run.run_id,
                t("Notes"): "; ".join(run_notes(run)) or None,
            }
            for run, cells in zip(runs, metrics, strict=True)
        ]
    )


def comparison_rows(found: Comparison, *, only_differences: bool) -> pd.DataFrame:
    """Return one row per parameter and metric and one column per run, with the baseline and each difference from it."""
    shown = set(found.differing_params) | set(found.differing_metrics)
    rows = [
        _fixed_row(t("Data version"), found, data_label),
        _fixed_row(t("Status"), found, lambda run: _status(run, found)),
    ]
    rows += [
        _metric_row(name, found)
        for name in metric_names(run.metrics for run in found.runs)
        if not only_differences or name in shown
    ]
    rows += [
        _fixed_row(t("param {name}", name=name), found, _param(name))
        for name in found.params
        if not only_differences or name in shown
    ]
    return pd.DataFrame(rows)


def coloured(rows: pd.DataFrame) -> Styler:
    """Colour the cells that are marked better or worse, readable on light and on dark."""
    return rows.style.map(better_or_worse)


def better_or_worse(cell: object) -> str:
    """Return the style of a cell with a `delta_label`."""
    if isinstance(cell, str) and cell.endswith(translated(_DIRECTIONS[Direction.BETTER])):
        return f"color: {BETTER_COLOUR}; font-weight: 600"
    if isinstance(cell, str) and cell.endswith(translated(_DIRECTIONS[Direction.WORSE])):
        return f"color: {WORSE_COLOUR}; font-weight: 600"
    return ""


def _delta(found: Comparison, run_id: str, metric: str) -> str:
    """Return "+0.0213 ▲ better", or an empty string where there is no baseline or no finite difference."""
    delta = found.deltas.get(run_id, {}).get(metric)
    if delta is None:
        return ""
    return delta_label(delta, found.directions[run_id][metric])


def delta_label(delta: float | None, direction: Direction) -> str:
    """Return a difference with its sign and whether it is better or worse; an empty string for None."""
    if delta is None:
        return ""
    word = translated(_DIRECTIONS[direction])
    return word if direction is Direction.SAME else f"{delta:+.3g} {word}".strip()


def direction_label(direction: Direction) -> str:
    """Return whether a difference is better or worse, such as "▲ better"; an empty string where it is unknown."""
    return translated(_DIRECTIONS[direction])


def _status(run: Run, found: Comparison) -> str:
    return "; ".join(found.notes.get(run.run_id) or run_notes(run)) or messages.word(run.status)


def _with_stage(version: ModelVersion) -> str:
    return str(version.key) if version.stage is Stage.NONE else f"{version.key} {messages.label(version.stage)}"


def _param(name: str) -> Callable[[Run], str]:
    return lambda run: run.params.get(name, "–")


def _fixed_row(label: str, found: Comparison, value: Callable[[Run], str]) -> dict[str, str]:
    row = {t("Field"): label}
    if found.baseline is not None:
        row[t("Baseline")] = value(found.baseline)
    return row | {header(run, found): value(run) for run in found.runs}


def _metric_row(name: str, found: Comparison) -> dict[str, str]:
    row = {t("Field"): t("{metric} (lower is better)", metric=name) if is_lower_better(name) else name}
    if found.baseline is not None:
        row[t("Baseline")] = number(found.baseline.metrics.get(name))
    for run in found.runs:
        parts = (number(run.metrics.get(name)), _delta(found, run.run_id, name))
        row[header(run, found)] = "  ".join(part for part in parts if part)
    return row
