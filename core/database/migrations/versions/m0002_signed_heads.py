"""Signed heads of the audit log, append-only like the log itself."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "heads",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("last_hash", sa.Text, nullable=False),
        sa.Column("subtrees", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("made", sa.String(32), nullable=False),
    )
    op.create_index("heads_size", "heads", ["size"])
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER heads_no_{verb.lower()} BEFORE {verb} ON heads "
                "BEGIN SELECT RAISE(ABORT, 'signed heads are append-only'); END"
            )
        return
    op.execute(
        "CREATE TRIGGER heads_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON heads "
        "FOR EACH STATEMENT EXECUTE FUNCTION events_append_only()"
    )
