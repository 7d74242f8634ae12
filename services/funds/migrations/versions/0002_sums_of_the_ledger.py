"""Sums of the ledger: empty at first; the sequencer fills them with its next seal, and until then everything is read beside them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "ledger_sum",
        sa.Column("book", sa.String(length=6), nullable=False),
        sa.Column("earmark", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("fen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("book", "earmark", "kind", "division", name=op.f("pk_ledger_sum")),
    )
    with op.batch_alter_table("ledger_sum", schema=None) as batch_op:
        batch_op.create_index("ix_ledger_sum_earmark", ["earmark", "kind", "division"], unique=False)

    op.create_table(
        "ledger_summed",
        sa.Column("book", sa.String(length=6), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("book", name=op.f("pk_ledger_summed")),
    )
