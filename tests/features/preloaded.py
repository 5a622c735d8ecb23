# ruff: noqa: F401
"""What the process imports from which tests fork theirs."""

from __future__ import annotations

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow.sklearn
import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store
import skops.io

import core.delta.delta_rs.engine
import core.features.training.train
import tests.features.dying
import tests.features.promoting
