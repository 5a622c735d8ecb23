"""SQLite's INSERT OR REPLACE deletes a row without running the DELETE trigger: the log and its heads refuse it."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return  # PostgreSQL runs ON CONFLICT … DO UPDATE as an UPDATE, which the triggers refuse
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
