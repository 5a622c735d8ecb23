"""Tables of runs: one row per run, and a comparison in which better and worse are coloured and marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd
from pandas.io.formats.style import Styler

from core.entities import ModelVersion, Run, Stage
from core.features.runs.compare import Comparison, Direction
from core.features.runs.runs import run_notes
from core.learning.kpis import CLASSIFICATION_METRICS, REGRESSION_METRICS, is_lower_better
from pages._ui import messages

# A mark and a word: colour alone tells nothing to one reader in twelve.
MARKS = {Direction.BETTER: "▲ better", Direction.WORSE: "▼ worse", Direction.SAME: "◆ same", Direction.UNKNOWN: ""}
# At least 4:1 on white and on Streamlit's dark grey.
BETTER_COLOUR, WORSE_COLOUR = "#1A8754", "#D9480F"
NO_DATA = "no data version"


def data_label(run: Run) -> str:
    """TABLE@N, or that there is none."""
    return str(run.data) if run.data is not None else NO_DATA


def short(run: Run) -> str:
    """A run's name with enough of its id to tell two of one name apart."""
    return f"{run.name or 'run'} ({run.run_id[:8]})"


def header(run: Run, found: Comparison) -> str:
    """A column's name, different for each run: two versions may come from one run, never the other way round."""
    versions = found.versions.get(run.run_id, ())
    return str(versions[0].key) if versions else short(run)


def number(value: float | None) -> str:
    """A metric for people: undefined values in words, four digits otherwise."""
    if value is None:
        return "–"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    shown = f"{value:,.0f}" if value == int(value) and abs(value) >= 1000 else f"{value:.4g}"
    # A real minus: a hyphen at the beginning of a cell is a formula to a spreadsheet.
    return f"−{shown[1:]}" if shown.startswith("-") else shown


def metric_names(runs: Iterable[Run]) -> list[str]:
    """Every metric of *runs*: the KPIs in their own order, then those of others, the row counts last."""
    names = {name for run in runs for name in run.metrics}
    known = [name for name in (*CLASSIFICATION_METRICS, *REGRESSION_METRICS) if name in names]
    counts = [name for name in ("TrainRows", "TestRows") if name in names]
    return [*known, *sorted(names - {*known, *counts}), *counts]


def run_rows(
    runs: Sequence[Run], versions: Mapping[str, Sequence[ModelVersion]], metrics: Sequence[str]
) -> pd.DataFrame:
    """One row per run; what cannot be believed is in the last column. The data version is always there."""
    return pd.DataFrame(
        [
            {
                "Run": run.name or run.run_id[:8],
                "Data version": data_label(run),
                "Model": ", ".join(_with_stage(version) for version in versions.get(run.run_id, ())) or None,
                "Status": messages.word(run.status),
                **{name: run.metrics.get(name) for name in metrics},
                "Started": run.started,
                "By": run.user,
                "Experiment": run.experiment,
                "Run id": run.run_id,
                "Notes": "; ".join(run_notes(run)) or None,
            }
            for run in runs
        ]
    )


def comparison_rows(found: Comparison, *, only_differences: bool) -> pd.DataFrame:
    """One row per param and metric, one column per run, the baseline's value and each delta with its mark."""
    shown = set(found.differing_params) | set(found.differing_metrics)
    rows = [_fixed_row("Data version", found, data_label), _fixed_row("Status", found, _status)]
    rows += [_metric_row(name, found) for name in metric_names(found.runs) if not only_differences or name in shown]
    rows += [
        _fixed_row(f"param {name}", found, _param(name))
        for name in found.params
        if not only_differences or name in shown
    ]
    return pd.DataFrame(rows)


def coloured(rows: pd.DataFrame) -> Styler:
    """The same rows; cells marked better or worse are coloured too, readable on light and on dark."""
    return rows.style.map(_colour)


def _colour(text: object) -> str:
    if isinstance(text, str) and text.endswith(MARKS[Direction.BETTER]):
        return f"color: {BETTER_COLOUR}; font-weight: 600"
    if isinstance(text, str) and text.endswith(MARKS[Direction.WORSE]):
        return f"color: {WORSE_COLOUR}; font-weight: 600"
    return ""


def delta_text(found: Comparison, run_id: str, metric: str) -> str:
    """ "+0.0213 ▲ better", or nothing where there is no baseline or no finite difference."""
    delta = found.deltas.get(run_id, {}).get(metric)
    if delta is None:
        return ""
    return marked(delta, found.directions[run_id][metric])


def marked(delta: float | None, meaning: Direction) -> str:
    """A difference with its sign, and whether it is for the better; nothing where there is none."""
    if delta is None:
        return ""
    return MARKS[meaning] if meaning is Direction.SAME else f"{delta:+.3g} {MARKS[meaning]}".strip()


def _status(run: Run) -> str:
    return "; ".join(run_notes(run)) or run.status.value


def _with_stage(version: ModelVersion) -> str:
    return str(version.key) if version.stage is Stage.NONE else f"{version.key} {messages.word(version.stage)}"


def _param(name: str) -> Callable[[Run], str]:
    return lambda run: run.params.get(name, "–")


def _fixed_row(label: str, found: Comparison, value: Callable[[Run], str]) -> dict[str, str]:
    row = {"": label}
    if found.baseline is not None:
        row["Baseline"] = value(found.baseline)
    return row | {header(run, found): value(run) for run in found.runs}


def _metric_row(name: str, found: Comparison) -> dict[str, str]:
    row = {"": name + (" (lower is better)" if is_lower_better(name) else "")}
    if found.baseline is not None:
        row["Baseline"] = number(found.baseline.metrics.get(name))
    for run in found.runs:
        parts = (number(run.metrics.get(name)), delta_text(found, run.run_id, name))
        row[header(run, found)] = "  ".join(part for part in parts if part)
    return row
