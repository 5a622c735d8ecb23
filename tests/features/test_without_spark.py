"""The embedded default needs nothing of Spark: it works where its import raises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# Runs in a process of its own, in which nothing was imported yet.
FLOW = """
import json, sys
from importlib.abc import MetaPathFinder
from pathlib import Path

BLOCKED = {"pyspark", "py4j", "delta", "grpc"}


class Block(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not to be imported here")
        return None


sys.meta_path.insert(0, Block())
try:
    import pyspark
except ImportError:
    pass
else:
    sys.exit("the block does not block")

from core.bootstrap import open_stores
from core.entities import Actor, Role, Stage
from core.features.data.browse import query
from core.features.promotion.decide import approve
from core.features.promotion.request_promotion import request_promotion
from core.features.admin.doctor import run_checks
from core.features.data.ingest import ingest_file
from core.features.admin.sample import iris_data
from core.features.scoring.score import score
from core.features.training.train import train
from core.settings import load_settings

scientist = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="test")
manager = Actor(name="manager", roles=frozenset({Role.MANAGER}), channel="test")
settings = load_settings()
stores = open_stores(settings)
file = Path(sys.argv[1])
iris_data().to_pandas().to_csv(file, index=False)
ingested = ingest_file(stores, scientist, table="iris_training_data", path=file, name=file.name)
trained = train(stores, scientist, recipe="iris_classifier")
asked_for = request_promotion(
    stores, scientist, model="iris_classifier", version=1, to=Stage.PRODUCTION, reason="first"
)
approve(stores, manager, asked_for.id, reason="fine")
batch = score(stores, scientist, model="iris_classifier", table="iris_training_data", into="predictions")
counted = query(stores, scientist, "SELECT count(*) AS n FROM predictions").rows.to_pylist()
print(json.dumps({
    "rows": ingested.rows_added,
    "model": str(trained.model),
    "scored": batch.rows,
    "counted": counted,
    "ok": all(check.ok for check in run_checks(settings, open_stores)),
    "loaded": sorted(name for name in sys.modules if name.partition(".")[0] in BLOCKED),
}))
"""


def test_the_embedded_default_ingests_trains_and_scores_where_spark_cannot_be_imported(tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MODELLEDGER_", "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-c", FLOW, str(tmp_path / "iris.csv")],
        cwd=ROOT,
        env=kept | {"MODELLEDGER_HOME": str(tmp_path / "home"), "MLFLOW_DISABLE_TELEMETRY": "true", "JAVA_HOME": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["rows"], found["model"], found["scored"], found["counted"], found["ok"]) == (
        *(150, "iris_classifier/1", 150, [{"n": 150}]),
        True,
    )
    assert found["loaded"] == []
