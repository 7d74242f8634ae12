"""What is known of mandates (授权), and who looked at what (查阅记录)."""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

from shared.db import BigId, Instant, Json
from shared.migrate import append_only

revision = "kit_0003"
down_revision = "kit_0002"


def upgrade() -> None:
    op.create_table(
        "look",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("client", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=200), nullable=False),
        sa.Column("objects", Json, nullable=False),
        sa.Column("filters", Json, nullable=False),
        sa.Column("household", sa.Uuid(), nullable=True),
        sa.Column("person", sa.Uuid(), nullable=True),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("mandate", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_look")),
    )
    op.create_index("ix_look_actor", "look", ["actor", "id"])
    op.create_index("ix_look_at", "look", ["at"])
    op.create_index("ix_look_household", "look", ["household", "id"])
    op.create_index("ix_look_person", "look", ["person", "id"])
    append_only("look", kept=timedelta(days=1096))
    op.create_table(
        "mandate",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("holder", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("absent", sa.String(length=100), nullable=True),
        sa.Column("roles", Json, nullable=False),
        sa.Column("divisions", Json, nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", "holder", name=op.f("pk_mandate")),
    )
    op.create_index("ix_mandate_holder", "mandate", ["holder", "until"])
