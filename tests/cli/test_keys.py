"""The JSON keys that stay, as the design's table of commands names them: a user's scripts are built on each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from core.cli import app
from tests.cli.conftest import Answer, Command

pytestmark = pytest.mark.usefixtures("sample")

TABLE = "iris_training_data"
DECIDING = ("--as", "manager", "--reason", "r")
ASKING = ("--as", "scientist", "--reason", "r")

REQUEST = {
    "id": str,
    "model": str,
    "version": int,
    "to": str,
    "status": str,
    "gates": [{"name": str, "passed": bool, "detail": str}],
    "requested_by": str,
    "decided_by": (str, type(None)),
    "reason": (str, type(None)),
    "stages": dict,
}
FIELD = {"name": str, "type": str}
RUN = {"run_id": str, "params": dict, "metrics": dict, "table": (str, type(None)), "version": (int, type(None))}
NODE = {"subject": str}
FACT = {"name": str, "first": (str, type(None)), "second": (str, type(None)), "differs": bool}
DATA_SIDE = {"version": int, "rows": int, "readable": str, "identity": str, "doubts": list}
TEXTS = {"model": str, "version": int, "description": str, "tags": dict}
SCHEDULE = {"id": str, "recipe": str, "cron": (str, type(None)), "on_new_data": bool, "enabled": bool, "by": str}

# What each command answers with at least, as the design has it: a list holds one or more of the one below it.
KEYS: dict[str, Any] = {
    "demo": {"made": list},
    "doctor": [{"name": str, "ok": bool, "detail": str, "source": str, "advice": str}],
    "tables": [{"name": str, "uri": str, "version": int, "rows": int}],
    "models": [
        {
            "name": str,
            "versions": [
                {
                    "version": int,
                    "stage": str,
                    "run_id": str,
                    "metrics": dict,
                    "data": [{"table": str, "version": int}],
                }
            ],
        }
    ],
    "history": [
        {
            "version": int,
            "timestamp": str,
            "operation": str,
            "user": (str, type(None)),
            "rows_added": int,
            "rows_removed": (int, type(None)),
            "engine": str,
            "metadata": dict,
            "parameters": dict,
            "metrics": dict,
            "read_version": (int, type(None)),
        }
    ],
    "show": {
        "table": str,
        "version": int,
        "timestamp": str,
        "rows": int,
        "files": int,
        "size_bytes": int,
        "schema": [FIELD],
        "readable": {"verdict": str, "reason": str},
        "sample": [dict],
    },
    "diff": {
        "schema": {"added": [FIELD], "removed": [FIELD], "changed": [{"name": str}], "renamed": list},
        "rows": {"added": (int, type(None)), "removed": (int, type(None)), "changed": (int, type(None))},
    },
    "sql": {"columns": [str], "rows": [list], "versions_read": [{"table": str, "version": int}]},
    "ingest": {"table": str, "version": int, "rows_added": int, "format": dict, "warnings": list},
    "train": {"run_id": str, "model_version": str, "metrics": dict, "params": dict},
    "runs": [RUN],
    "compare": {"runs": [RUN]},
    "lineage": {
        "model": {"name": str, "version": int, "stage": str},
        "run": RUN,
        "data": [{"table": str, "version": int, "source_of_truth": str, "findings": list}],
        "code": dict,
        "decisions": [NODE],
        "predictions": [NODE],
    },
    "timeline": {
        "model": str,
        "until": str,
        "without_stage": int,
        "unknown": int,
        "versions": [
            {
                "version": int,
                "registered": str,
                "stage": (str, type(None)),
                "periods": [
                    {
                        "stage": str,
                        "from": str,
                        "from_is_exact": bool,
                        "not_before": (str, type(None)),
                        "to": (str, type(None)),
                        "ended_by": (str, type(None)),
                        "source": str,
                        "decided_by": list,
                        "requested_by": (str, type(None)),
                        "reason": (str, type(None)),
                        "request": (str, type(None)),
                        "event": (int, type(None)),
                        "end_event": (int, type(None)),
                        "finding": (str, type(None)),
                    }
                ],
            }
        ],
    },
    "impact": {"models": [NODE], "predictions": [NODE]},
    "request": REQUEST,
    "approve": REQUEST,
    "reject": REQUEST,
    "rollback": REQUEST,
    "rollback --dry-run": {
        "model": str,
        "version": int,
        "stages": {"1": str, "3": str},
        "passed": bool,
        "checked_at": str,
        "gates": [{"name": str, "passed": bool, "detail": str}],
        "compared_with": str,
        "kpis": {"precision": {"value": float, "production": float, "difference": float}},
        "kpi_caveat": (str, type(None)),
        "data": {"table": str, "version": int},
        "data_verdict": str,
        "review": (str, type(None)),
        "findings": list,
    },
    "requests": [REQUEST],
    "score": {"batch_id": str, "model_version": str, "table": str, "version": int, "rows": int},
    "findings": [{"id": str, "kind": str, "subject": str, "severity": str, "owner": str, "due": str, "detail": str}],
    "reconcile": [{"kind": str, "subject": str, "expected": str, "found": str, "detail": str}],
    "reproduce": {"verdict": str, "why": str, "metrics": {"TestRows": {"logged": (int, float), "again": (int, float)}}},
    "head-to-head": {
        "first": str,
        "second": str,
        "data": str,
        "rows": int,
        "left_out": int,
        "metrics": {
            "f1": {"first": float, "second": float, "difference": float, "low": float, "high": float, "verdict": str}
        },
        "classes": [{"name": str, "rows": int, "metrics": dict}],
        "slices": [{"column": str, "name": str, "rows": int, "metrics": dict}],
        "mcnemar": {"only_first": int, "only_second": int, "p_value": float},
    },
    "compare-versions": {
        "first": str,
        "second": str,
        "metrics": {"f1": {"first": float, "second": float, "difference": float, "verdict": str}},
        "signature": {"verdict": str, "problems": list, "unknown": list, "columns": [{"role": str, "name": str}]},
        "data": [{"table": str, "use": str, "first": DATA_SIDE, "second": DATA_SIDE, "comparison": str}],
        "version": [FACT],
        "params": [FACT],
        "artifact": [FACT],
        "environment": [FACT],
        "requirements": [FACT],
        "tags": [FACT],
        "run_tags": [FACT],
        "code": list,
        "notes": list,
        "unknown": list,
    },
    "describe": TEXTS,
    "tag": TEXTS,
    "untag": TEXTS,
    "evaluate": {
        "model": str,
        "data": str,
        "target": str,
        "rows": int,
        "left_out": int,
        "metrics": {"f1": float},
        "pictures": {"task": str, "confusion": {"labels": [str]}, "importance": [{"column": str, "mean": float}]},
        "notes": [str],
    },
    "why-moved": {
        "kpi": str,
        "answer": str,
        "first": str,
        "second": str,
        "data": str,
        "rows": int,
        "left_out": int,
        "factors": [{"name": str, "before": str, "after": str}],
        "inseparable": list,
        "metrics": {
            "f1": {
                "first_logged": float,
                "second_logged": float,
                "parts": [{"name": str, "difference": float, "low": float, "high": float}],
                "not_explained": {"difference": float, "low": float, "high": float},
                "total": {"difference": float, "low": float, "high": float},
                "test_rows": float,
            }
        },
        "coalitions": [{"second": list, "metrics": dict}],
        "notes": [str],
    },
    "audit log": [
        {
            "sequence": int,
            "time": str,
            "actor": str,
            "action": str,
            "subject": str,
            "outcome": str,
            "reason": str,
            "before": dict,
            "after": dict,
            "hash": str,
            "previous": str,
        }
    ],
    "schedule": SCHEDULE,
    "schedules": [SCHEDULE],
    "unschedule": {"id": str, "deleted": bool},
    "audit verify": {"ok": bool, "events": int, "first_broken": (int, type(None))},
    "audit export": {"file": str, "events": int},
}
# Runs until it is stopped and answers with nothing.
SILENT = {"worker"}
# Commands that came after the design's table; each is held to what it says by tests of its own.
LATER = {
    *("dossier", "bundle", "verify-bundle", "serve", "sql-endpoint", "perform"),
    *("accept-registry", "token", "notifications", "allow-demo", "audit head", "audit key"),
}


def holds(found: Any, wanted: Any, where: str) -> None:
    """Every key of *wanted* is in *found*, with a value of its type; more keys may be there."""
    if isinstance(wanted, dict):
        assert isinstance(found, dict), where
        assert set(wanted) <= set(found), f"{where} lacks {set(wanted) - set(found)}"
        for name, below in wanted.items():
            holds(found[name], below, f"{where}.{name}")
    elif isinstance(wanted, list):
        assert isinstance(found, list), where
        assert found, f"{where} holds nothing, so nothing is tested"
        for one in found:
            holds(one, wanted[0], f"{where}[]")
    else:
        assert isinstance(found, wanted), f"{where} is {found!r}"
        assert not (isinstance(found, bool) and wanted is int), where


def test_every_command_answers_with_the_keys_that_stay(
    command: Command, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELLEDGER_POLICIES", '{"*": [{"gate": "stage_changes"}, {"gate": "data_recorded"}]}')
    seen: dict[str, Any] = {}

    def ask(*arguments: str, name: str = "") -> Any:
        answer: Answer = command(*arguments, "--json")
        assert answer.code == 0, answer.err
        name = name or arguments[0]
        holds(answer.json, KEYS[name], name)
        seen[name] = answer.json
        return answer.json

    for name in ("demo", "doctor", "tables", "models", "runs"):
        ask(name)
    ask("history", TABLE)
    ask("show", f"{TABLE}@0")
    ask("sql", f"SELECT species FROM {TABLE} VERSION AS OF 1 LIMIT 2")
    file = tmp_path / "other.csv"
    file.write_text("petal_length_cm,species,colour\nshort,setosa,red\n")
    ask("ingest", TABLE, str(file), "--mode", "overwrite")
    ask("diff", TABLE, "2", "3")
    trained = ask("train", "iris_classifier", "--table", f"{TABLE}@0")
    ask("compare", trained["run_id"])

    ask("reject", ask("request", "iris_classifier/2", "--to", "Staging", *ASKING)["id"], *DECIDING)
    for version in (1, 3):
        ask("approve", ask("request", f"iris_classifier/{version}", "--to", "Production", *ASKING)["id"], *DECIDING)
    ask("rollback", "iris_classifier", "--dry-run", "--as", "manager", name="rollback --dry-run")
    back = ask("rollback", "iris_classifier", *DECIDING)
    assert (back["version"], back["stages"]["1"], back["stages"]["3"]) == (1, "Production", "Archived")
    ask("requests")
    ask("timeline", "iris_classifier")
    ask("score", "iris_classifier", f"{TABLE}@1", "--into", "predictions")
    ask("lineage", "iris_classifier/1")
    ask("impact", f"{TABLE}@0")
    assert command("impact", f"{TABLE}@1", "--json").json["predictions"]
    ask("reproduce", "iris_classifier/2")
    ask("head-to-head", "iris_classifier/1", "iris_classifier/3", "--table", "iris_training_data@2")
    ask("why-moved", "iris_classifier/1", "iris_classifier/3", "--repeats", "0")
    ask("evaluate", "iris_classifier/1", "--table", "iris_training_data@2")

    ask("compare-versions", "iris_classifier/1", "iris_classifier/3")
    assert ask("describe", "iris_classifier/3", "--text", "more rows", *ASKING)["description"] == "more rows"
    assert ask("tag", "iris_classifier/3", "owner", "ana", *ASKING)["tags"]["owner"] == "ana"
    assert "owner" not in ask("untag", "iris_classifier/3", "owner", "--seen", "ana", *ASKING)["tags"]

    nightly = ask("schedule", "iris_classifier", "--cron", "30 2 * * 1")["id"]
    ask("schedules")
    assert ask("unschedule", nightly)["id"] == nightly

    changed_outside(home)
    ask("reconcile")
    assert command("findings", "--open", "iris_classifier/3", "--as", "auditor", "--reason", "look").code == 0
    ask("findings")
    ask("audit", "log", name="audit log")
    ask("audit", "verify", name="audit verify")
    ask("audit", "export", str(tmp_path / "audit.jsonl"), name="audit export")
    assert set(seen) == set(KEYS)


def changed_outside(home: Path) -> None:
    """Somebody moves a stage in MLflow, past the decisions."""
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    with pytest.warns(FutureWarning, match="transition_model_version_stage"):
        client.transition_model_version_stage("iris_classifier", "2", "Staging")


def test_the_table_names_every_command_there_is() -> None:
    named = {command.name or command.callback.__name__ for command in app.registered_commands}
    for group in app.registered_groups:
        below = {command.name for command in group.typer_instance.registered_commands}
        named |= {f"{group.name} {name}" for name in below} if group.name == "audit" else {group.name}
    assert named == {name for name in KEYS if "--" not in name} | SILENT | LATER
