"""How a model version compares with the version that it would replace, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from core.access.permissions import Action
from core.entities import Outcome
from core.features.evidence.collect import ModelEvidence, compared
from core.learning.kpis import is_kpi, is_lower_better, main_kpi
from core.learning.kpis import metric_text as number
from core.texts import text


def comparison(evidence: ModelEvidence) -> Iterator[str]:
    """Yield the main KPI of both at the decision, and the newest head-to-head comparison."""
    check = compared(evidence)
    measured = head_to_head(evidence)
    if check is None and measured is not None:
        pass  # the sentence below says how it compares
    elif check is None:
        yield text("The version was not compared with another one, because no promotion to Production was requested.")
    elif check.evidence is None:
        yield text("The evidence of the comparison was not kept.")
    elif check.compared_with is None:
        yield text("No other version was in Production then, so there was nothing to compare with.")
    else:
        yield _main_difference(evidence, check.evidence, check.compared_with)
        yield (
            text("{rival} was in Production then.", rival=check.compared_with)
            if check.is_rival_in_production
            else text("{rival} was the last version in Production; none was there then.", rival=check.compared_with)
        )
        data = [_data_name(check.evidence.get(side)) for side in ("candidate", "production")]
        if None not in data and data[0] != data[1]:
            yield text(
                "The two were tested on rows of different data versions ({own} and {other}), so these KPIs do not "
                "compare strictly.",
                own=data[0],
                other=data[1],
            )
    if measured is not None:
        yield _interval(measured)


def _main_difference(evidence: ModelEvidence, facts: Mapping[str, Any], rival: str) -> str:
    own = evidence.view.metrics
    theirs = {
        name: float(value)
        for name, value in ((facts.get("production") or {}).get("metrics") or {}).items()
        if name in own and is_kpi(name) and math.isfinite(float(value)) and math.isfinite(own[name])
    }
    metric = main_kpi(theirs)
    if metric is None:
        return text("The version has no KPI in common with {rival}.", rival=rival)
    value, other = own[metric], theirs[metric]
    lower = is_lower_better(metric)
    values = {
        "metric": metric,
        "value": number(value),
        "other": number(other),
        "rival": rival,
        "difference": number(abs(value - other)),
    }
    if value == other:
        return text("Its main KPI, {metric}, is {value}, the same as of {rival}.",
                    metric=metric, value=values["value"], rival=rival)  # fmt: skip
    if lower is None:
        return text(
            "Its main KPI, {metric}, is {value} and differs by {difference} from the {other} of {rival}.", **values
        )
    if (value < other) == lower:
        return text("Its main KPI, {metric}, is {value}: better by {difference} than the {other} of {rival}.", **values)
    return text("Its main KPI, {metric}, is {value}: WORSE by {difference} than the {other} of {rival}.", **values)


def _data_name(facts: Mapping[str, Any] | None) -> str | None:
    data = (facts or {}).get("data") or {}
    return f"{data['table']}@{data['version']}" if data.get("table") and data.get("version") is not None else None


def head_to_head(evidence: ModelEvidence) -> Mapping[str, Any] | None:
    """Return the newest comparison of this version, with its decided files, with the version it was compared with."""
    check = compared(evidence)
    facts = (check.evidence if check else None) or {}
    files = ((facts.get("candidate") or {}).get("artifact") or {}).get("sha256")
    for event in reversed(evidence.events):
        is_comparison = event.action == Action.MODEL_COMPARE.value and event.outcome is Outcome.SUCCESS
        if not is_comparison or event.subject != str(evidence.key):
            continue
        is_rival = check is None or check.compared_with is None or event.after.get("first") == check.compared_with
        own_files = (event.after.get("artifacts") or {}).get(str(evidence.key))
        if is_rival and (files is None or own_files == files):
            return event.after
    return None


def _interval(measured: Mapping[str, Any]) -> str:
    metrics = {
        name: values
        for name, values in measured["metrics"].items()
        if all(isinstance(values[part], int | float) for part in ("first", "second", "difference", "low", "high"))
    }
    metric = main_kpi(metrics)
    values = {"rows": measured["rows"], "data": measured["data"], "rival": measured["first"]}
    if metric is None:
        return text("Head to head with {rival} on {rows} rows of {data}, no KPI is defined.", **values)
    numbers = metrics[metric]
    values |= {
        "metric": metric,
        "second": number(numbers["second"]),
        "first": number(numbers["first"]),
        "difference": f"{numbers['difference']:+.4g}",
        "low": f"{numbers['low']:+.4g}",
        "high": f"{numbers['high']:+.4g}",
    }
    match numbers["verdict"]:
        case "better":
            return text(
                "Head to head on the same {rows} rows of {data}, {metric} is {second} against {first} of {rival}: "
                "difference {difference}, 95 % interval [{low}, {high}], so it is better.",
                **values,
            )
        case "worse":
            return text(
                "Head to head on the same {rows} rows of {data}, {metric} is {second} against {first} of {rival}: "
                "difference {difference}, 95 % interval [{low}, {high}], so it is WORSE.",
                **values,
            )
    return text(
        "Head to head on the same {rows} rows of {data}, {metric} is {second} against {first} of {rival}: "
        "difference {difference}, 95 % interval [{low}, {high}], so no difference is shown.",
        **values,
    )
