"""The index of dead letters holds the open ones alone: each batch of a consumer asks for them, and the closed ones stay for ever."""

import sqlalchemy as sa
from alembic import op

revision = "kit_0002"
down_revision = "kit_0001"
accepted = {
    "require-concurrent-index-deletion": "dead letters are few: the index is gone and made again in milliseconds",
    "require-concurrent-index-creation": "as above; a dead letter that comes meanwhile waits so long",
}


def upgrade() -> None:
    is_open = sa.text("state IN ('dead', 'parked')")
    op.drop_index("ix_dead_letter_open", "dead_letter")
    op.create_index(
        "ix_dead_letter_open",
        "dead_letter",
        ["group", "topic", "key"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
