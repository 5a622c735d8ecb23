"""One scoring in a separate process, so that its memory can be measured: `python -m benchmarks.scoring_process …`.

Arguments: the home, the engine, the table, the table of the predictions. Answers with one JSON document on stdout.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from core.bootstrap import open_stores
from core.entities import Actor, Role
from core.features.scoring.score import score
from core.settings import load_settings

SCIENTIST = Actor(name="scientist", roles=frozenset({Role.SCIENTIST}), channel="benchmark")


def main(home: str, engine: str, table: str, into: str) -> int:
    """Score once and print the times as JSON. Spark's session opens first: its start does not depend on the rows."""
    stores = open_stores(load_settings(home=Path(home), engine=engine, spark_master="local[*]"))
    started = time.perf_counter()
    if engine == "spark":
        stores.engine.session.range(1).count()  # type: ignore[attr-defined]
    ready = time.perf_counter()
    batch = score(stores, SCIENTIST, model="iris_classifier", model_version=1, table=table, into=into)
    done = time.perf_counter()
    print(json.dumps({"rows": batch.rows, "start_s": ready - started, "score_s": done - ready}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
