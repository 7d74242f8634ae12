"""First tables."""

import sqlalchemy as sa
from alembic import op

from shared.db import BigId, Instant, Json
from shared.migrate import append_only

revision = "0001"
down_revision = None
branch_labels = ("registry",)


def upgrade() -> None:
    op.create_table(
        "case",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_no", sa.String(length=48), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("household_id", sa.Uuid(), nullable=False),
        sa.Column("household_no", sa.String(length=32), nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=True),
        sa.Column("procedure", Json, nullable=False),
        sa.Column("opened_on", sa.Date(), nullable=False),
        sa.Column("decided_on", sa.Date(), nullable=True),
        sa.Column("closed_on", sa.Date(), nullable=True),
        sa.Column("client", sa.String(length=100), nullable=False),
        sa.Column("client_ref", sa.String(length=100), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case")),
        sa.UniqueConstraint("case_no", name=op.f("uq_case_case_no")),
        sa.UniqueConstraint("client", "client_ref", name=op.f("uq_case_client_client_ref")),
    )
    with op.batch_alter_table("case", schema=None) as batch_op:
        batch_op.create_index("ix_case_division", ["division", "case_no"], unique=False)
        batch_op.create_index(
            "uq_case_open_household",
            ["household_id"],
            unique=True,
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        )

    op.create_table(
        "division",
        sa.Column("code", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("level", sa.String(length=10), nullable=False),
        sa.Column("parent", sa.String(length=12), nullable=True),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("predecessors", Json, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_division")),
    )
    with op.batch_alter_table("division", schema=None) as batch_op:
        batch_op.create_index("ix_division_parent", ["parent"], unique=False)

    op.create_table(
        "household",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("household_no", sa.String(length=32), nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("group", sa.String(length=40), nullable=True),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("attribute", sa.String(length=2), nullable=False),
        sa.Column("cause", sa.String(length=2), nullable=False),
        sa.Column("other_cause", sa.String(length=2), nullable=True),
        sa.Column("identified_on", sa.Date(), nullable=True),
        sa.Column("exited_on", sa.Date(), nullable=True),
        sa.Column("standard", sa.String(length=40), nullable=True),
        sa.Column("housing", sa.String(length=2), nullable=False),
        sa.Column("safe_water", sa.Boolean(), nullable=False),
        sa.Column("remark", sa.String(length=200), nullable=True),
        sa.Column("head_name_masked", sa.String(length=40), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_household")),
        sa.UniqueConstraint("household_no", name=op.f("uq_household_household_no")),
    )
    with op.batch_alter_table("household", schema=None) as batch_op:
        batch_op.create_index("ix_household_counted", ["id", "division", "people"], unique=False)
        batch_op.create_index("ix_household_division", ["division", "household_no"], unique=False)

    op.create_table(
        "case_act",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("verdict", sa.String(length=10), nullable=True),
        sa.Column("objection_ref", sa.Integer(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("facts", Json, nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("on", sa.Date(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["case.id"], name=op.f("fk_case_act_case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_act")),
        sa.UniqueConstraint("case_id", "seq", name=op.f("uq_case_act_case_id_seq")),
    )
    op.create_table(
        "household_history",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("household_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("changes", Json, nullable=False),
        sa.ForeignKeyConstraint(["household_id"], ["household.id"], name=op.f("fk_household_history_household_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_household_history")),
        sa.UniqueConstraint("household_id", "version", name=op.f("uq_household_history_household_id_version")),
    )
    op.create_table(
        "household_income",
        sa.Column("household_id", sa.Uuid(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("net_per_head_fen", BigId, nullable=False),
        sa.ForeignKeyConstraint(["household_id"], ["household.id"], name=op.f("fk_household_income_household_id")),
        sa.PrimaryKeyConstraint("household_id", "year", name=op.f("pk_household_income")),
    )
    op.create_table(
        "measure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("household_id", sa.Uuid(), nullable=False),
        sa.Column("pathway", sa.String(length=40), nullable=False),
        sa.Column("sub", sa.String(length=40), nullable=False),
        sa.Column("scope", sa.String(length=40), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("persons", sa.Integer(), nullable=True),
        sa.Column("started_on", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.Column("ended_reason", sa.String(length=1000), nullable=True),
        sa.Column("remark", sa.String(length=1000), nullable=True),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.Column("client", sa.String(length=100), nullable=True),
        sa.Column("client_ref", sa.String(length=100), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["household_id"], ["household.id"], name=op.f("fk_measure_household_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_measure")),
        sa.UniqueConstraint("client", "client_ref", name=op.f("uq_measure_client_client_ref")),
    )
    with op.batch_alter_table("measure", schema=None) as batch_op:
        batch_op.create_index(
            "ix_measure_counted",
            ["year", "scope", "pathway", "sub", "household_id", "ended_on", "valid_until", "persons"],
            unique=False,
        )
        batch_op.create_index("ix_measure_household", ["household_id"], unique=False)
        batch_op.create_index(
            "uq_measure_held",
            ["household_id", "pathway", "sub", "scope", "year"],
            unique=True,
            sqlite_where=sa.text("ended_on IS NULL"),
            postgresql_where=sa.text("ended_on IS NULL"),
        )

    op.create_table(
        "member",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("household_id", sa.Uuid(), nullable=False),
        sa.Column("member_no", sa.SmallInteger(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("sex", sa.String(length=1), nullable=False),
        sa.Column("born_on", sa.Date(), nullable=False),
        sa.Column("id_masked", sa.String(length=22), nullable=False),
        sa.Column("id_blind", sa.String(length=64), nullable=False),
        sa.Column("relation", sa.String(length=2), nullable=False),
        sa.Column("ethnic", sa.String(length=2), nullable=False),
        sa.Column("education", sa.String(length=2), nullable=False),
        sa.Column("student", sa.String(length=2), nullable=False),
        sa.Column("health", sa.String(length=2), nullable=False),
        sa.Column("labour", sa.String(length=2), nullable=False),
        sa.Column("work_place", sa.String(length=2), nullable=True),
        sa.Column("work_months", sa.SmallInteger(), nullable=True),
        sa.Column("dibao", sa.Boolean(), nullable=False),
        sa.Column("insured", sa.Boolean(), nullable=False),
        sa.Column("pension", sa.Boolean(), nullable=False),
        sa.Column("left_on", sa.Date(), nullable=True),
        sa.Column("left_reason", sa.String(length=2), nullable=True),
        sa.ForeignKeyConstraint(["household_id"], ["household.id"], name=op.f("fk_member_household_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member")),
        sa.UniqueConstraint("household_id", "member_no", name=op.f("uq_member_household_id_member_no")),
    )
    with op.batch_alter_table("member", schema=None) as batch_op:
        batch_op.create_index(
            "uq_member_living",
            ["id_blind"],
            unique=True,
            sqlite_where=sa.text("left_on IS NULL"),
            postgresql_where=sa.text("left_on IS NULL"),
        )

    op.create_table(
        "visit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("household_id", sa.Uuid(), nullable=False),
        sa.Column("cadre_no", sa.String(length=32), nullable=False),
        sa.Column("visited_on", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("note", sa.String(length=1000), nullable=True),
        sa.Column("device_time", Instant(), nullable=True),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("client", sa.String(length=100), nullable=False),
        sa.Column("client_ref", sa.String(length=100), nullable=True),
        sa.ForeignKeyConstraint(["household_id"], ["household.id"], name=op.f("fk_visit_household_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visit")),
        sa.UniqueConstraint("client", "client_ref", name=op.f("uq_visit_client_client_ref")),
    )
    with op.batch_alter_table("visit", schema=None) as batch_op:
        batch_op.create_index("ix_visit_cadre", ["cadre_no", "visited_on"], unique=False)
        batch_op.create_index("ix_visit_household", ["household_id", "visited_on"], unique=False)

    op.create_table(
        "member_identity",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("number_sealed", sa.Text(), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_member_identity_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member_identity")),
        sa.UniqueConstraint("member_id", "version", name=op.f("uq_member_identity_member_id_version")),
    )

    append_only("case_act", "household_history", "member_identity")
