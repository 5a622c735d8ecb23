"""The tables of the database, and the column type of their times."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import String, TypeDecorator

metadata = sa.MetaData()


class Moment(TypeDecorator[datetime]):
    """An aware UTC time, stored as ISO 8601 text with microseconds: sortable, and the same bytes on both databases."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


events = sa.Table(
    "events",
    metadata,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("time", Moment, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("before", sa.Text, nullable=False),
    sa.Column("after", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Index("events_subject", "subject", "sequence"),
    sa.Index("events_operation", "operation"),
    sa.Index("events_actor", "actor", "sequence"),
    sa.Index("events_action", "action", "sequence"),
    sa.Index("events_time", "time", "sequence"),
)

heads = sa.Table(
    "heads",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("last_hash", sa.Text, nullable=False),
    sa.Column("subtrees", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("made", Moment, nullable=False),
    sa.Index("heads_size", "size"),
)

_IS_PENDING = sa.text("status IN ('open', 'unfinished') AND kind = 'promotion' AND record >= 2")

requests = sa.Table(
    "requests",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("to_stage", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("gates", sa.Text, nullable=False),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("requested_at", Moment, nullable=False),
    sa.Column("request_reason", sa.Text, nullable=False),
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_at", Moment),
    sa.Column("reason", sa.Text),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("intended", sa.Text, nullable=False),
    sa.Column("stages", sa.Text, nullable=False),
    sa.Column("previous", sa.Integer),
    sa.Column("decision_gates", sa.Text),
    sa.Column("decision_evidence", sa.Text),
    sa.Column("checked_at", Moment),
    # 1 where an approval replaced the gates of the request (before migration 0010), 2 where both are kept.
    sa.Column("record", sa.Integer, nullable=False, server_default="1"),
    sa.Index("requests_model", "model", "requested_at"),
    sa.Index("requests_status", "status"),
    sa.Index(
        "requests_pending",
        "model",
        "version",
        "to_stage",
        unique=True,
        sqlite_where=_IS_PENDING,
        postgresql_where=_IS_PENDING,
    ),
)

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("request_id", sa.Text, sa.ForeignKey("requests.id"), primary_key=True),
    sa.Column("by", sa.Text, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

locks = sa.Table(
    "locks",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("expires", Moment, nullable=False),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("arguments", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("created", Moment, nullable=False),
    sa.Column("started", Moment),
    sa.Column("ended", Moment),
    sa.Column("heartbeat", Moment),
    sa.Column("progress", sa.Float, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    sa.Column("worker", sa.Text),
    sa.Column("trigger_id", sa.Text),
    sa.Column("token", sa.Text),
    sa.Index("jobs_status", "status", "created"),
)

job_lines = sa.Table(
    "job_lines",
    metadata,
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("time", Moment, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)

triggers = sa.Table(
    "triggers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("job_kind", sa.Text, nullable=False),
    sa.Column("arguments", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("created", Moment, nullable=False),
    sa.Column("cron", sa.Text),
    sa.Column("table_name", sa.Text),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("last_fired", Moment),
    sa.Column("last_seen_version", sa.Integer),
    sa.Column("next_due", Moment),
    sa.Column("token", sa.Text),
)


findings = sa.Table(
    "findings",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("due", Moment, nullable=False),
    sa.Column("expected", sa.Text, nullable=False),
    sa.Column("found", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("opened_by", sa.Text, nullable=False),
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("last_seen", Moment, nullable=False),
    sa.Column("closed_by", sa.Text),
    sa.Column("closed_at", Moment),
    sa.Column("reason", sa.Text),
    sa.Index("findings_open", "closed_at", "due"),
)

notification_channels = sa.Table(
    "notification_channels",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    # The events up to this number were sent, or are not for this channel.
    sa.Column("cursor", sa.BigInteger, nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("lease_expires", Moment),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_try", Moment),
    sa.Column("last_sent", Moment),
    sa.Column("last_error", sa.Text),
    sa.Column("last_error_at", Moment),
    sa.Column("given_up", sa.Integer, nullable=False),
    sa.Column("stopped", sa.Boolean, nullable=False),
)
