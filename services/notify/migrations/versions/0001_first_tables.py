"""First tables."""

import sqlalchemy as sa
from alembic import op

from shared.db import BigId, Instant, Json

revision = "0001"
down_revision = None
branch_labels = ("notify",)


def upgrade() -> None:
    op.create_table(
        "alarm",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("facts", Json, nullable=False),
        sa.Column("raised_at", Instant(), nullable=False),
        sa.Column("seen_by", sa.String(length=100), nullable=True),
        sa.Column("seen_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm")),
        sa.UniqueConstraint("kind", "subject", name=op.f("uq_alarm_kind_subject")),
    )
    with op.batch_alter_table("alarm", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alarm_division"), ["division"], unique=False)

    op.create_table(
        "brief",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("week", sa.String(length=8), nullable=False),
        sa.Column("tasks", Json, nullable=False),
        sa.Column("entered_by", sa.String(length=100), nullable=False),
        sa.Column("entered_at", Instant(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_brief")),
        sa.UniqueConstraint("division", "week", name=op.f("uq_brief_division_week")),
    )
    op.create_table(
        "campaign_run",
        sa.Column("county", sa.String(length=12), nullable=False),
        sa.Column("week", sa.String(length=8), nullable=False),
        sa.Column("campaign", sa.String(length=16), nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("closes_at", Instant(), nullable=False),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("county", "week", "campaign", name=op.f("pk_campaign_run")),
    )
    op.create_table(
        "console_message",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("phone_index", sa.String(length=64), nullable=False),
        sa.Column("phone_masked", sa.String(length=20), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_console_message")),
    )
    with op.batch_alter_table("console_message", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_console_message_message_id"), ["message_id"], unique=False)
        batch_op.create_index("ix_console_message_phone", ["phone_index", "id"], unique=False)

    op.create_table(
        "contact",
        sa.Column("cadre_no", sa.String(length=32), nullable=False),
        sa.Column("phone_sealed", sa.String(length=200), nullable=False),
        sa.Column("phone_index", sa.String(length=64), nullable=False),
        sa.Column("phone_masked", sa.String(length=20), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("entered_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("cadre_no", name=op.f("pk_contact")),
        sa.UniqueConstraint("phone_index", name=op.f("uq_contact_phone_index")),
    )
    op.create_table(
        "inbound_message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client", sa.String(length=100), nullable=False),
        sa.Column("message_ref", sa.String(length=100), nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("cadre_no", sa.String(length=32), nullable=True),
        sa.Column("week", sa.String(length=8), nullable=True),
        sa.Column("on_time", sa.Boolean(), nullable=True),
        sa.Column("sender_sealed", sa.String(length=200), nullable=False),
        sa.Column("sender_masked", sa.String(length=20), nullable=False),
        sa.Column("text_sealed", sa.Text(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_message")),
        sa.UniqueConstraint("client", "message_ref", name=op.f("uq_inbound_message_client_message_ref")),
    )
    with op.batch_alter_table("inbound_message", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_inbound_message_division"), ["division"], unique=False)

    op.create_table(
        "opt_out",
        sa.Column("cadre_no", sa.String(length=32), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("cadre_no", name=op.f("pk_opt_out")),
    )
    op.create_table(
        "place",
        sa.Column("code", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_place")),
    )
    op.create_table(
        "prompt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("campaign", sa.String(length=16), nullable=False),
        sa.Column("week", sa.String(length=8), nullable=False),
        sa.Column("cadre_no", sa.String(length=32), nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("county", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("closes_at", Instant(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("lease_until", Instant(), nullable=True),
        sa.Column("planned_at", Instant(), nullable=False),
        sa.Column("sent_at", Instant(), nullable=True),
        sa.Column("delivered_at", Instant(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompt")),
        sa.UniqueConstraint("campaign", "week", "cadre_no", name=op.f("uq_prompt_campaign_week_cadre_no")),
    )
    with op.batch_alter_table("prompt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_prompt_division"), ["division"], unique=False)
        batch_op.create_index(
            "ix_prompt_open",
            ["state"],
            unique=False,
            sqlite_where=sa.text("state IN ('held', 'planned', 'sending', 'accepted')"),
            postgresql_where=sa.text("state IN ('held', 'planned', 'sending', 'accepted')"),
        )
        batch_op.create_index("ix_prompt_week", ["week", "county"], unique=False)

    op.create_table(
        "recipient",
        sa.Column("cadre_no", sa.String(length=32), nullable=False),
        sa.Column("post", sa.String(length=32), nullable=False),
        sa.Column("unit", sa.String(length=100), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("county", sa.String(length=12), nullable=False),
        sa.Column("until", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("cadre_no", "post", "unit", "since", name=op.f("pk_recipient")),
    )
    with op.batch_alter_table("recipient", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_recipient_county"), ["county"], unique=False)
        batch_op.create_index(batch_op.f("ix_recipient_division"), ["division"], unique=False)

    op.create_table(
        "report",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("week", sa.String(length=8), nullable=False),
        sa.Column("cadre_no", sa.String(length=32), nullable=False),
        sa.Column("division", sa.String(length=12), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("text_sealed", sa.Text(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("on_time", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
        sa.UniqueConstraint("week", "cadre_no", name=op.f("uq_report_week_cadre_no")),
    )
    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_report_division"), ["division"], unique=False)

    op.create_table(
        "watched_county",
        sa.Column("county", sa.String(length=12), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("county", name=op.f("pk_watched_county")),
    )
    op.create_table(
        "receipt",
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("prompt_id", sa.Uuid(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompt.id"], name=op.f("fk_receipt_prompt_id")),
        sa.PrimaryKeyConstraint("message_id", "type", name=op.f("pk_receipt")),
    )
    with op.batch_alter_table("receipt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_receipt_prompt_id"), ["prompt_id"], unique=False)
