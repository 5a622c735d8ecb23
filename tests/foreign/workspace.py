"""The test workspace of tables and models that ModelLedger did not create: `python -m tests.foreign.workspace FOLDER`.

Plain deltalake, pyarrow and mlflow; nothing of ModelLedger is imported. The answers that it prints follow from what the
script wrote. Names, times and numbers are the same in every workspace; ids that MLflow and deltalake choose are not.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from pathlib import Path

from tests.foreign.workspace_tables import Expected, build_tables


def build(folder: Path, tracking_uri: str | None = None) -> Expected:
    """Builds tables and MLflow in the new *folder* and returns the right answers, also in *folder*/expected.json.

    Without *tracking_uri* MLflow is a SQLite file in *folder*, for which `mlflow server` can be started afterwards.
    MLflow's global tracking URI is set: run this in a process of its own.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    from tests.foreign.workspace_mlflow import build_mlflow

    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    uri = tracking_uri or f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)  # MLflow itself looks a logged model up there.
    expected = build_tables(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's stages are deprecated; teams have them all the same.
        expected |= build_mlflow(folder, uri, expected["tables"])
    expected["settings"] |= {"MLFLOW_TRACKING_URI": uri, "MODELLEDGER_CLAIMS": json.dumps(_claims(folder / "lake"))}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1), encoding="utf-8")
    return expected


def _claims(lake: Path) -> list[dict[str, str]]:
    """What a team would write to say where its runs name their data, and under which addresses they see the tables."""
    return [
        {"version": "params.data_version", "table": "params.data_path"},
        {"version": "params.DataV", "table": "params.data_path"},
        {"version": "tags.dvc.rev", "table": "tags.dvc.path"},
        {"address": "dbfs:/mnt/risk", "same_as": str(lake)},
        {"address": "s3://risk-lake", "same_as": str(lake)},
        {"address": "main.risk.fraud", "same_as": str(lake / "fraud")},
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--tracking-uri", help="MLflow to write to; default: a SQLite file in FOLDER")
    arguments = parser.parse_args()
    print(json.dumps(build(arguments.folder, arguments.tracking_uri), indent=1))
