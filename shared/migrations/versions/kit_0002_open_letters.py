"""The index of dead letters holds the open ones alone: each batch of a consumer asks for them, and the closed ones stay for ever."""

import sqlalchemy as sa
from alembic import op

revision = "kit_0002"
down_revision = "kit_0001"


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
