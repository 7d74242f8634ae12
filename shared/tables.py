"""The kit's own tables. Each service's database holds its own copy of them."""

from datetime import timedelta

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from shared import personal
from shared.append_only import protect
from shared.db import BigId, DivisionCode, Instant, Json, new_metadata

metadata = new_metadata()

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("event_id", Uuid, nullable=False, unique=True),
    Column("topic", String(100), nullable=False),
    Column("key", String(64), nullable=False),
    Column("type", String(100), nullable=False),
    Column("headers", Json, nullable=False),
    Column(
        "body",
        LargeBinary,
        nullable=False,
        info=personal.masked(
            "of a household: its number and its head, masked", why="what the other services hear", kept="90 days"
        ),
    ),
    Column("division", DivisionCode, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("published_at", Instant),
    # Given by the one active relay when it publishes, so that it is dense and in order of commit: the change feeds' cursor.
    # Two runs of the same may give it in another order of their services' transactions, so a canonical dump leaves it out.
    Column("position", BigId, unique=True, info={"volatile": True}),
)
Index(
    "ix_outbox_unpublished",
    outbox.c.id,
    sqlite_where=outbox.c.published_at.is_(None),
    postgresql_where=outbox.c.published_at.is_(None),
)
Index("ix_outbox_feed", outbox.c.topic, outbox.c.position)

inbox = Table(
    "inbox",
    metadata,
    Column("group", String(100), primary_key=True),
    Column("event_id", Uuid, primary_key=True),
    Column("seen_at", Instant, nullable=False),
)
Index("ix_inbox_seen_at", inbox.c.seen_at)

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("group", String(100), nullable=False),
    Column("topic", String(100), nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigId, nullable=False),
    Column("key", String(64), nullable=False),
    Column("headers", Json, nullable=False),
    Column(
        "body",
        LargeBinary,
        nullable=False,
        info=personal.masked("an event that could not be taken", why="people decide about it", kept="for good"),
    ),
    # dead: it failed itself · parked: it waits behind a dead one of its key · retried, discarded: closed by a person
    Column("state", String(16), nullable=False),
    Column("error", String(500), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("group", "topic", "partition", "offset"),
)
OPEN = text("state IN ('dead', 'parked')")
"""Of a dead letter: in a query word for word as in its index, or the database does not know that they fit."""
Index(
    "ix_dead_letter_open",
    dead_letter.c.group,
    dead_letter.c.topic,
    dead_letter.c.key,
    sqlite_where=OPEN,
    postgresql_where=OPEN,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("client", String(100), primary_key=True),
    Column("key", String(100), primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Json, nullable=False),
    Column(
        "body",
        LargeBinary,
        nullable=False,
        info=personal.plain(
            "the first answer, never one with a number in full", why="it is given again", kept="30 days"
        ),
    ),
    Column("at", Instant, nullable=False),
)
Index("ix_idempotency_at", idempotency.c.at)

audit = Table(
    "audit",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(100), nullable=False),
    Column("reason", Text, info=personal.plain("what people write", why="why it was done", kept="for good")),
    Column("facts", Json, nullable=False),
)

import_file = Table(
    "import_file",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("division", DivisionCode, nullable=False),
    Column("mode", String(10), nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("state", String(10), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("created", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("unchanged", Integer, nullable=False),
    # By row and column, without the cells' content.
    Column("errors", Json, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("at", Instant, nullable=False),
    # Only of a file with wrong rows, until its report expires.
    Column(
        "file_sealed",
        Text,
        info=personal.sealed(
            "import_file.file",
            "the file as it came",
            why="its report",
            kept="30 days",
            shown="who may import it, in the area: as the annotated sheet",
        ),
    ),
)
Index(
    "ix_import_file_kept",
    import_file.c.at,
    sqlite_where=import_file.c.file_sealed.is_not(None),
    postgresql_where=import_file.c.file_sealed.is_not(None),
)
protect(audit)

# What each service knows of the mandates that the registry gives (shared/mandates.py): a row for each who holds one.
mandate = Table(
    "mandate",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("holder", String(100), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("absent", String(100)),
    Column("roles", Json, nullable=False),
    Column("divisions", Json, nullable=False),
    Column("since", Date, nullable=False),
    Column("until", Date, nullable=False),
    Column("ended_at", Instant),
    Column("version", Integer, nullable=False),
)
Index("ix_mandate_holder", mandate.c.holder, mandate.c.until)

LOOKS_KEPT = timedelta(days=1096)
"""Three years; ours. The triggers of `look` let nobody delete a younger row."""

# Who looked at what (shared/seen). How often somebody looks is no part of what happened, so a canonical dump leaves it out.
look = Table(
    "look",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("client", String(100), nullable=False),
    Column("action", String(200), nullable=False),
    Column("objects", Json, nullable=False),
    Column("filters", Json, nullable=False),
    Column("household", Uuid),
    Column("person", Uuid),
    Column("division", DivisionCode, nullable=False),
    Column("mandate", Uuid),
    Column(
        "reason", Text, info=personal.plain("what people write", why="why somebody looked", kept="as long as the look")
    ),
    info={"volatile": True},
)
Index("ix_look_at", look.c.at)
Index("ix_look_actor", look.c.actor, look.c.id)
Index("ix_look_household", look.c.household, look.c.id)
Index("ix_look_person", look.c.person, look.c.id)
protect(look, kept=LOOKS_KEPT)
