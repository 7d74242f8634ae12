"""Mandates (授权): given once, ended once."""

import sqlalchemy as sa
from alembic import op

from shared.db import Instant, Json
from shared.migrate import append_only

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "mandate_given",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("holder", sa.String(length=100), nullable=False),
        sa.Column("holders", Json, nullable=False),
        sa.Column("absent", sa.String(length=100), nullable=True),
        sa.Column("roles", Json, nullable=False),
        sa.Column("divisions", Json, nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("object", sa.String(length=200), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("given_by", sa.String(length=100), nullable=False),
        sa.Column("given_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mandate_given")),
    )
    op.create_index("ix_mandate_given_division", "mandate_given", ["kind", "division"])
    op.create_index("ix_mandate_given_people", "mandate_given", ["holder", "absent"])
    op.create_table(
        "mandate_ending",
        sa.Column("mandate_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ended_by", sa.String(length=100), nullable=False),
        sa.Column("ended_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["mandate_id"], ["mandate_given.id"], name=op.f("fk_mandate_ending_mandate_id")),
        sa.PrimaryKeyConstraint("mandate_id", name=op.f("pk_mandate_ending")),
    )
    append_only("mandate_given", "mandate_ending")
