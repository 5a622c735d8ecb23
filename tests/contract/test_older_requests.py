"""Requests from before migration 0010: each says which gates it has, and its row stays the one that the log holds."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from core.audit.decisions import Decisions
from core.database.engine import Database

GATES = '[{"detail":"0.9","name":"f1","passed":true}]'
EVIDENCE = '{"production":{"metrics":{},"model_version":"iris/1","serves":true}}'


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(database_url)


def older(database: Database, request_id: str, **columns: Any) -> None:
    """A row as version 0.2.0 wrote it."""
    row = {
        "id": request_id,
        "kind": "promotion",
        "model": "iris",
        "version": 3,
        "to_stage": "Production",
        "status": "open",
        "gates": GATES,
        "requested_by": "scientist",
        "requested_at": "2026-03-31T12:00:00.000000+00:00",
        "request_reason": "r",
        "evidence": EVIDENCE,
        "intended": "{}",
        "stages": "{}",
        **columns,
    }
    names = ", ".join(row)
    with database.write() as connection:
        connection.execute(
            sa.text(f"INSERT INTO requests ({names}) VALUES ({', '.join(f':{name}' for name in row)})"), row
        )


def test_older_approval_says_that_its_gates_are_those_of_the_decision(database: Database) -> None:
    older(database, "r1", status="approved", decided_by="manager", decided_at="2026-04-01T12:00:00.000000+00:00")
    request = Decisions(database).get("r1")
    assert (request.record, request.at_request.gates, request.at_request.compared_with) == (1, None, "iris/1")
    assert request.at_decision is not None
    assert (request.at_decision.passed, request.at_decision.evidence, request.at_decision.compared_with) == (
        True,
        None,
        None,
    )
    assert request.at_decision.at == request.decided_at


@pytest.mark.parametrize("status", ["rejected", "expired"])
def test_older_rejection_and_expiry_have_the_gates_of_the_request_only(database: Database, status: str) -> None:
    older(database, "r1", status=status, decided_at="2026-04-01T12:00:00.000000+00:00")
    request = Decisions(database).get("r1")
    assert (request.at_request.passed, request.at_request.compared_with, request.at_decision) == (True, "iris/1", None)


def test_older_requests_may_repeat(database: Database) -> None:
    older(database, "r1")
    older(database, "r2")
    assert {request.id for request in Decisions(database).list()} == {"r1", "r2"}
