"""The first schema: audit events (append-only), requests, locks, jobs with their lines, triggers."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.String(32)


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
        ),
        sa.Column("time", _MOMENT, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in (
                *("actor", "role", "channel", "action", "subject", "outcome", "reason"),
                *("operation", "before", "after", "previous", "hash"),
            )
        ),
    )
    op.create_index("events_subject", "events", ["subject", "sequence"])
    op.create_index("events_operation", "events", ["operation"])
    op.create_index("events_actor", "events", ["actor", "sequence"])
    op.create_table(
        "requests",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("to_stage", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("gates", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_at", _MOMENT, nullable=False),
        sa.Column("request_reason", sa.Text, nullable=False),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_at", _MOMENT),
        sa.Column("reason", sa.Text),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("intended", sa.Text, nullable=False),
        sa.Column("stages", sa.Text, nullable=False),
        sa.Column("previous", sa.Integer),
    )
    op.create_index("requests_model", "requests", ["model", "requested_at"])
    op.create_index("requests_status", "requests", ["status"])
    op.create_table(
        "locks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("expires", _MOMENT, nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("started", _MOMENT),
        sa.Column("ended", _MOMENT),
        sa.Column("heartbeat", _MOMENT),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("worker", sa.Text),
        sa.Column("trigger_id", sa.Text),
    )
    op.create_index("jobs_status", "jobs", ["status", "created"])
    op.create_table(
        "job_lines",
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("time", _MOMENT, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "triggers",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("job_kind", sa.Text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("cron", sa.Text),
        sa.Column("table_name", sa.Text),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("last_fired", _MOMENT),
        sa.Column("last_seen_version", sa.Integer),
        sa.Column("next_due", _MOMENT),
    )
    _make_events_append_only()


def _make_events_append_only() -> None:
    """Guard against mistakes only: the database's owner can drop a trigger. The hash chain is the evidence."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER events_no_{verb.lower()} BEFORE {verb} ON events "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION events_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON events "
        "FOR EACH STATEMENT EXECUTE FUNCTION events_append_only()"
    )
