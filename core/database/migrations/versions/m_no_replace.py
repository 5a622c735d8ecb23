"""SQLite's INSERT OR REPLACE takes a row away without its DELETE trigger: the log and its heads refuse that too."""

from alembic import op

revision = "no_replace"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return  # ON CONFLICT … DO UPDATE is an UPDATE on PostgreSQL, and refused as one
    op.execute(
        "CREATE TRIGGER events_no_replace BEFORE INSERT ON events "
        "WHEN EXISTS (SELECT 1 FROM events WHERE sequence = NEW.sequence) "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
    )
    op.execute(
        "CREATE TRIGGER heads_no_replace BEFORE INSERT ON heads "
        "WHEN EXISTS (SELECT 1 FROM heads WHERE number = NEW.number) "
        "BEGIN SELECT RAISE(ABORT, 'signed heads are append-only'); END"
    )
