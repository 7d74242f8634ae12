"""Cosignatures of witnesses: what they signed of checkpoints, handed on to those who check."""

import sqlalchemy as sa
from alembic import op

from shared.db import Instant
from shared.migrate import append_only

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "log_cosignature",
        sa.Column("book", sa.String(length=6), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("witness", sa.String(length=200), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("taken_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("book", "size", "witness", name=op.f("pk_log_cosignature")),
    )
    append_only("log_cosignature")
