"""The command line: the same services without a browser. Stable: jobs and schedules of users build on it.

Exit codes: 0 done, 1 refused or failed (one line on stderr), 2 wrong usage. With --json stdout holds one JSON document.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from core.commands import audit, data, evidence, findings, identity, models, promotions, schedules, tokens, work
from core.errors import CoreError
from core.escaping import line
from core.logs import configure_logs, start_request
from core.settings import secret_free

app = typer.Typer(
    name="modelledger",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="ModelLedger: which data made a model, who let it into production and why.",
)
data.add_to(app)
models.add_to(app)
promotions.add_to(app)
audit.add_to(app)
findings.add_to(app)
evidence.add_to(app)
schedules.add_to(app)
tokens.add_to(app)
identity.add_to(app)
work.add_to(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; nothing but the answer goes to stdout."""
    configure_logs()
    start_request()
    try:
        app(args=arguments)
    except CoreError as error:
        _say(str(error))
        return 1
    except SystemExit as ended:  # how Typer says that it is done (0), was refused (1) or was called wrongly (2)
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def _say(message: str) -> None:
    print(line(secret_free()(" ".join(message.split()))), file=sys.stderr)
