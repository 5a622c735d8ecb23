"""The command line. Its commands, options and JSON keys are stable, because users' scripts rely on them.

Exit codes: 0 done, 1 refused or failed (one line on stderr), 2 wrong usage. With --json, stdout is one JSON document.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from core.commands import (
    audit,
    comparisons,
    data,
    evidence,
    findings,
    models,
    promotions,
    registry,
    runs,
    schedules,
    tokens,
    work,
)
from core.errors import CoreError
from core.escaping import line
from core.logs import configure_logs, start_request
from core.settings import secret_free

app = typer.Typer(
    name="modelledger",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Track the data, models and decisions behind production models.",
)
data.add_to(app)
models.add_to(app)
runs.add_to(app)
comparisons.add_to(app)
promotions.add_to(app)
audit.add_to(app)
findings.add_to(app)
registry.add_to(app)
evidence.add_to(app)
schedules.add_to(app)
tokens.add_to(app)
work.add_to(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Only the result goes to stdout."""
    configure_logs()
    start_request()
    try:
        app(args=arguments)
    except CoreError as error:
        _print_error(str(error))
        return 1
    except SystemExit as ended:  # raised by Typer: 0 done, 1 refused, 2 wrong usage
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def _print_error(message: str) -> None:
    print(line(secret_free()(" ".join(message.split()))), file=sys.stderr)
