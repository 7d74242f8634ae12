"""Payments heard of."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "payment",
        sa.Column("tranche_id", sa.Uuid(), nullable=False),
        sa.Column("county", sa.String(length=12), nullable=False),
        sa.Column("week", sa.String(length=8), nullable=False),
        sa.Column("paid_on", sa.Date(), nullable=False),
        sa.Column("households", sa.Integer(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("traceparent", sa.String(length=55), nullable=True),
        sa.PrimaryKeyConstraint("tranche_id", name=op.f("pk_payment")),
    )
    op.create_index("ix_payment_week", "payment", ["county", "week"], unique=False)
