"""Runs every benchmark of this folder, or those named: prints a table and writes .bench/results.json."""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.measure import Measurement

_HERE = Path(__file__).resolve().parent
_RESULTS = _HERE.parent / ".bench" / "results.json"


def main(names: list[str]) -> int:
    """Return 0 if every benchmark ran. A missed goal is reported and does not change the exit code."""
    known = [path.stem for path in sorted(_HERE.glob("*.py")) if path.stem not in ("__init__", "__main__", "measure")]
    if unknown := [name for name in names if name not in known]:
        sys.stderr.write(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(known)}.\n")
        return 2
    console = Console()
    found: dict[str, list[Measurement]] = {}
    for name in names or known:
        module = importlib.import_module(f"benchmarks.{name}")
        if not hasattr(module, "run"):
            continue  # a helper of another benchmark
        console.print(f"{name} …", style="dim")
        found[name] = module.run()
    _print(console, found)
    _write(found)
    return 0


def _print(console: Console, found: dict[str, list[Measurement]]) -> None:
    grid = Table("what", "ratio", "goal", "", "ours", "baseline", box=None, header_style="bold")
    for measurements in found.values():
        for one in measurements:
            word = "met" if one.is_met else "MISSED"
            what = Text.assemble(one.name, ("\n" + one.note if one.note else "", "dim"))
            ours, baseline = _seconds(one.ours_s), _seconds(one.baseline_s)
            grid.add_row(what, f"{one.ratio:.2f}", f"{one.goal:g}", word, ours, baseline)
    console.print(grid)


def _write(found: dict[str, list[Measurement]]) -> None:
    document = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "results": [
            {"benchmark": name, **asdict(one), "is_met": one.is_met}
            for name, measurements in found.items()
            for one in measurements
        ],
    }
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.2f} ms"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
