"""Erasure: who was taken out of a file; while one is open, and no longer, the history of its household may be rewritten."""

import sqlalchemy as sa
from alembic import op

from shared.append_only import ddl, only_while
from shared.db import Instant
from shared.migrate import append_only

revision = "0004"
down_revision = "0003"
accepted = {
    "trigger-on-a-table-in-use": "it refuses what the one it replaces refuses, but for what this release's erasure does"
}

BOUND = ("id", "household_id", "version", "valid_from", "recorded_at", "actor", "reason")
OPEN = "exists (select 1 from erasure e where e.household_id = old.household_id and e.is_open)"


def upgrade() -> None:
    op.create_table(
        "erasure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("household_id", sa.Uuid(), nullable=False),
        sa.Column("member_no", sa.SmallInteger(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["household_id"], ["household.id"], name=op.f("fk_erasure_household_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
    )
    with op.batch_alter_table("erasure", schema=None) as batch_op:
        batch_op.create_index("ix_erasure_household_id", ["household_id"], unique=False)
    append_only("erasure", but="is_open")
    dialect = op.get_bind().dialect.name
    op.execute(
        "drop trigger household_history_no_update" + (" on household_history" if dialect == "postgresql" else "")
    )
    [trigger] = [text for text in ddl(dialect, "household_history", BOUND) if "household_history_no_update " in text]
    for statement in (trigger, *only_while(dialect, "household_history", "changes", OPEN)):
        op.execute(statement)
