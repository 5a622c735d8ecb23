"""A registry as a team has it before ModelLedger: models, versions, stages and aliases written with plain mlflow."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from urllib.parse import urlsplit

from mlflow import MlflowClient

_MLMODEL = "artifact_path: model\nflavors:\n  python_function:\n    loader_module: theirs\n"


class PlainRegistry:
    """Writes to the MLflow at *uri*. Artifacts lie below *folder*, in one experiment."""

    def __init__(self, uri: str, folder: Path, experiment: str = "theirs") -> None:
        self.client = MlflowClient(uri)
        self.experiment = self.client.create_experiment(experiment, artifact_location=folder.as_uri())
        self._models: set[str] = set()

    def version(
        self,
        model: str,
        *,
        metrics: dict[str, float] | None = None,
        stage: str = "None",
        alias: str = "",
        files: Path | str | None = "weights",
        tags: dict[str, str] | None = None,
    ) -> int:
        """Register the next version. *files*: a folder to copy, the content of one file, or None for no artifact."""
        if model not in self._models:
            self.client.create_registered_model(model)
            self._models.add(model)
        run = self.client.create_run(self.experiment, tags=tags or {})
        for name, value in (metrics or {"f1": 0.9}).items():
            self.client.log_metric(run.info.run_id, name, value)
        self.client.set_terminated(run.info.run_id)
        place = Path(urlsplit(run.info.artifact_uri).path) / "model"
        if isinstance(files, Path):
            shutil.copytree(files, place)
        elif files is not None:
            place.mkdir(parents=True)
            (place / "MLmodel").write_text(_MLMODEL)
            (place / "weights.bin").write_text(files)
        version = self.client.create_model_version(model, f"{run.info.artifact_uri}/model", run.info.run_id)
        number = int(version.version)
        if stage != "None":
            self.move(model, number, stage)
        if alias:
            self.client.set_registered_model_alias(model, alias, str(number))
        return number

    def move(self, model: str, number: int, stage: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # MLflow's own stages are deprecated
            self.client.transition_model_version_stage(model, str(number), stage)

    def run_of(self, model: str, number: int) -> str:
        return str(self.client.get_model_version(model, str(number)).run_id)

    def files_of(self, model: str, number: int) -> Path:
        return Path(urlsplit(self.client.get_model_version(model, str(number)).source).path)
