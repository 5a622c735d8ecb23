"""The SQL endpoint asks nobody who they are: it is not opened to a network by a host name alone."""

from __future__ import annotations

import pytest

from core.errors import BadSettings
from core.settings import Settings
from core.sql_endpoint import serve_sql
from tests.cli.conftest import Command, command  # noqa: F401 -- a fixture, under its own name


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "lake.bank.example"])
def test_a_host_that_others_reach_is_refused_with_what_to_do(settings: Settings, host: str) -> None:
    with pytest.raises(BadSettings, match=r"has no sign-in.*add --shared; or leave --host out"):
        serve_sql(settings, host=host)


def test_the_command_refuses_it_in_one_line(command: Command) -> None:  # noqa: F811
    answer = command("sql-endpoint", "--host", "0.0.0.0")
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert "--shared" in answer.err


def test_whoever_says_that_grants_are_set_outside_gets_further(settings: Settings) -> None:
    """As far as an address that is not this machine's: no Java is started for it."""
    from core.errors import EngineUnavailable

    with pytest.raises(EngineUnavailable, match=r"cannot listen on 192\.0\.2\.7:10000"):
        serve_sql(settings, host="192.0.2.7", shared=True)
