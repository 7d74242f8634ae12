"""A sealed number may be sealed anew under another key; nothing else of its row may change: another text would not open."""

from alembic import op

from shared.append_only import ddl

revision = "0002"
down_revision = "0001"
accepted = {
    "trigger-on-a-table-in-use": "it lets more through than the one it replaces: the code before finds nothing new in its way"
}

BOUND = ("id", "member_id", "version", "recorded_at")


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    op.execute("drop trigger member_identity_no_update" + (" on member_identity" if dialect == "postgresql" else ""))
    [trigger] = [text for text in ddl(dialect, "member_identity", BOUND) if "member_identity_no_update " in text]
    op.execute(trigger)
