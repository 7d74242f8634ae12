"""First tables."""

import sqlalchemy as sa
from alembic import op

from shared.db import BigId, Instant, Json
from shared.migrate import append_only

revision = "0001"
down_revision = None
branch_labels = ("assessment",)


def upgrade() -> None:
    op.create_table(
        "annual_weight",
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("units", sa.String(length=16), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("division", "year", "units", name=op.f("pk_annual_weight")),
    )
    op.create_table(
        "cadre",
        sa.Column("cadre_no", sa.String(length=32), nullable=False),
        sa.Column("name_sealed", sa.String(length=400), nullable=False),
        sa.Column("name_masked", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("cadre_no", name=op.f("pk_cadre")),
    )
    op.create_table(
        "division",
        sa.Column("code", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("level", sa.String(length=10), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_division")),
    )
    op.create_table(
        "fact",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("county", sa.String(length=12), nullable=True),
        sa.Column("town", sa.String(length=12), nullable=True),
        sa.Column("cadre_no", sa.String(length=32), nullable=True),
        sa.Column("unit", sa.String(length=80), nullable=False),
        sa.Column("on", sa.Date(), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("counts", sa.String(length=4), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_fact")),
    )
    with op.batch_alter_table("fact", schema=None) as batch_op:
        batch_op.create_index("ix_fact_cadre", ["cadre_no", "period"], unique=False)
        batch_op.create_index("ix_fact_county", ["county", "period"], unique=False)
        batch_op.create_index("ix_fact_division", ["division", "on"], unique=False)
        batch_op.create_index("ix_fact_on", ["on", "event_id"], unique=False)
        batch_op.create_index("ix_fact_town", ["town", "period"], unique=False)

    op.create_table(
        "household",
        sa.Column("household_id", sa.Uuid(), nullable=False),
        sa.Column("household_no", sa.String(length=32), nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("household_id", name=op.f("pk_household")),
    )
    op.create_table(
        "household_status",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("household_id", sa.Uuid(), nullable=False),
        sa.Column("household_no", sa.String(length=32), nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("until", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_household_status")),
    )
    with op.batch_alter_table("household_status", schema=None) as batch_op:
        batch_op.create_index("ix_household_status_division", ["status", "division"], unique=False)
        batch_op.create_index("ix_household_status_household", ["household_id", "until"], unique=False)
        batch_op.create_index("ix_household_status_no", ["household_no"], unique=False)

    op.create_table(
        "score_night",
        sa.Column("county", sa.String(length=12), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("county", "day", name=op.f("pk_score_night")),
    )
    op.create_table(
        "score_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("county", sa.String(length=12), nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("on", sa.Date(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("subjects", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_score_run")),
        sa.UniqueConstraint("county", "no", name=op.f("uq_score_run_county_no")),
    )
    op.create_table(
        "target",
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("indicator", sa.String(length=40), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("division", "year", "indicator", name=op.f("pk_target")),
    )
    op.create_table(
        "appointment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cadre_no", sa.String(length=32), nullable=False),
        sa.Column("post", sa.String(length=32), nullable=False),
        sa.Column("title", sa.String(length=100), nullable=False),
        sa.Column("unit", sa.String(length=100), nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["cadre_no"], ["cadre.cadre_no"], name=op.f("fk_appointment_cadre_no")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointment")),
        sa.UniqueConstraint("cadre_no", "post", "unit", "since", name=op.f("uq_appointment_cadre_no_post_unit_since")),
    )
    with op.batch_alter_table("appointment", schema=None) as batch_op:
        batch_op.create_index("ix_appointment_division", ["division", "cadre_no"], unique=False)

    op.create_table(
        "fact_withdrawal",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["fact.event_id"], name=op.f("fk_fact_withdrawal_event_id")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_fact_withdrawal")),
    )
    op.create_table(
        "score",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("county", sa.String(length=12), nullable=False),
        sa.Column("scheme", sa.String(length=64), nullable=False),
        sa.Column("score_milli", sa.Integer(), nullable=False),
        sa.Column("grade", Json, nullable=False),
        sa.Column("explanation", Json, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["score_run.id"], name=op.f("fk_score_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_score")),
        sa.UniqueConstraint("subject", "period", "version", name=op.f("uq_score_subject_period_version")),
    )
    with op.batch_alter_table("score", schema=None) as batch_op:
        batch_op.create_index("ix_score_county", ["county", "period"], unique=False)
        batch_op.create_index("ix_score_run", ["run_id", "subject"], unique=False)

    op.create_table(
        "score_decision",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("score_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["score_id"], ["score.id"], name=op.f("fk_score_decision_score_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_score_decision")),
        sa.UniqueConstraint("score_id", "kind", name=op.f("uq_score_decision_score_id_kind")),
    )

    append_only("fact", "fact_withdrawal", "score_run", "score", "score_decision")
