"""Brings a service's tables up to date, on SQLite and PostgreSQL, and keeps money and audit rows append-only.

Each database has two lines of migrations: the kit's (shared/migrations, the same in all four) and its service's own
(services/<name>/migrations). Each service has its own version table; `env.py` is a few lines.
"""

import asyncio
import os
import random
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import structlog
from alembic import command, context, op
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from shared import tables
from shared.append_only import ddl
from shared.db import BigId, Database, Instant, Json
from shared.errors import Refusal

KIT = "kit"

LOCK_MS = 2_000
"""A migration waits so long for a table, and everybody who asks for that table waits behind it; then it gives way and tries again."""

TRIES, PAUSE_FIRST_S, PAUSE_MAX_S = 12, 0.5, 10.0
"""How often, and the pauses between: first, then double each time, at most. Over a minute and a half in all."""

_LOCK_NOT_AVAILABLE = "55P03"
_ONE_AT_A_TIME = 6109

RESTORING = "daohu_restoring"
"""A table that `daohu restore` has in a database until all four are whole and checked."""

_SHARED = Path(__file__).parent
_SERVICES = _SHARED.parent / "services"


log = structlog.get_logger()


class NotMigrated(Exception):
    """The tables are not those of this release. The text says what to do."""


class TablesBusy(Refusal):
    """A table was in use for as long as a migration may wait for it."""

    code = "tables_busy"


async def require(database: Database) -> None:
    """Raises NotMigrated unless the tables are those of this code, or of a newer release's. Changes nothing.

    A newer release's tables serve this one too: a migration only adds (docs/decisions/0025), so that during an upgrade an old
    process may start again, and a release that turned out bad gives way to the one before it.
    """
    wanted = set(ScriptDirectory.from_config(_config(database.service)).get_heads())

    def found(connection: Connection) -> set[str]:
        if inspect(connection).has_table(RESTORING):
            raise NotMigrated(
                f"a restore into the database of {database.service} did not end: give the same `daohu restore` again"
            )
        context = MigrationContext.configure(connection, opts={"version_table": f"{database.service}_version"})
        return set(context.get_current_heads())

    async with database.read() as tx:
        there = await tx.run_sync(found)
    behind = {head for head in wanted if not any(_line(other) == _line(head) and other >= head for other in there)}
    if behind:
        said = ", ".join(sorted(there)) or "none"
        raise NotMigrated(
            f"the tables of {database.service} are at {said}, this release needs {', '.join(sorted(wanted))}: "
            "run `daohu migrate` of this release"
        )
    if there != wanted:
        log.info("tables_of_a_newer_release", service=database.service, at=sorted(there), needs=sorted(wanted))


def _line(revision: str) -> str:
    """Which of a database's two lines a revision is of: kit_0002 → kit, 0002 → the service's own."""
    return revision.rpartition("_")[0]


async def upgrade(database: Database, *, revision: str = "heads") -> None:
    """Runs what has not run yet. Two at once on PostgreSQL: the second waits.

    On PostgreSQL each migration is a transaction of its own, which gives way after LOCK_MS and is tried again: nobody's request
    waits longer than that behind it. Raises TablesBusy when it found no gap; what ran before stays done.
    """
    if database.sqlite:
        async with database.writer.begin() as connection:
            await connection.run_sync(_upgrade, database.service, revision)
        return
    async with database.writer.connect() as connection:
        try:
            await connection.execute(text(f"SELECT pg_advisory_lock({_ONE_AT_A_TIME})"))
            await connection.execute(text(f"SET lock_timeout = {LOCK_MS}"))
            await connection.commit()  # both last as long as the session
            for tries in count(1):
                try:
                    await connection.run_sync(_upgrade, database.service, revision)
                    break
                except DBAPIError as error:
                    if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                        raise
                    await connection.rollback()
                    log.warning("migration_gives_way", service=database.service, tries=tries)
                    if tries == TRIES:
                        raise TablesBusy(
                            f"A table of {database.service} was in use all the time. Run it again when there is less to do, or "
                            "look for a long transaction (pg_stat_activity)."
                        ) from None
                    pause = min(PAUSE_MAX_S, PAUSE_FIRST_S * 2 ** (tries - 1))
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
        finally:
            await connection.invalidate()


def _upgrade(connection: Connection, service: str, revision: str) -> None:
    config = _config(service)
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _folder(name: str) -> Path:
    return (_SHARED if name == KIT else _SERVICES / name) / "migrations"


def _config(name: str) -> Config:
    folders = dict.fromkeys([_folder(name) / "versions", _folder(KIT) / "versions"])
    config = Config()
    config.set_main_option("script_location", str(_folder(name)))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join(map(str, folders)))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["service"] = name
    return config


def run(metadata: MetaData) -> None:
    """Called by a service's env.py."""
    context.configure(
        connection=context.config.attributes["connection"], **_options(context.config.attributes["service"], metadata)
    )
    with context.begin_transaction():
        context.run_migrations()


def _options(service: str, metadata: MetaData) -> dict[str, Any]:
    return {
        "target_metadata": [tables.metadata, metadata],
        "version_table": f"{service}_version",
        "render_as_batch": True,
        "compare_type": True,
        "render_item": _render,
        "transaction_per_migration": True,
        "include_name": lambda name, kind, _: not (kind == "table" and name == f"{service}_version"),
    }


def _render(kind: str, thing: Any, context: Any) -> str | bool:
    """The house's own column types, by their names."""
    if kind != "type":
        return False
    own = "Instant()" if isinstance(thing, Instant) else {id(BigId): "BigId", id(Json): "Json"}.get(id(thing))
    if own is None:
        return False
    context.imports.add("from shared.db import BigId, Instant, Json")
    return own


async def drift(database: Database, metadata: MetaData) -> list[Any]:
    """What the tables in the code have that the migrated database has not, and the other way round. Empty when they agree."""

    def compare(connection: Connection) -> list[Any]:
        options = _options(database.service, metadata)
        target = options.pop("target_metadata")
        migration = MigrationContext.configure(connection, opts={**options, "target_metadata": target})
        return list(compare_metadata(migration, target))

    async with database.writer.connect() as connection:
        return await connection.run_sync(compare)


def new_revision(name: str, message: str) -> None:
    """Writes the next migration of a service, or of the kit (`kit`), from what its code has and the migrated tables have not.

    When both changed, make the kit's first.
    """
    versions = _folder(name) / "versions"
    number = len(list(versions.glob("*.py"))) + 1

    def write_revision(connection: Connection) -> None:
        _upgrade(connection, name, "heads")
        config = _config(name)
        config.attributes["connection"] = connection
        command.revision(
            config,
            message,
            autogenerate=True,
            head=f"{name}@head" if number > 1 else "base",
            branch_label=None if number > 1 else name,
            version_path=str(versions),
            rev_id=f"kit_{number:04d}" if name == KIT else f"{number:04d}",
        )

    async def write() -> None:
        engine = create_async_engine("sqlite+inline:///:memory:")
        async with engine.begin() as connection:
            await connection.run_sync(write_revision)
        await engine.dispose()

    asyncio.run(write())


def append_only(*names: str, but: str = "", kept: timedelta | None = None) -> None:
    """In a migration: the triggers of append-only tables (shared/append_only.py)."""
    bind = op.get_bind()
    for name in names:
        columns = [column["name"] for column in inspect(bind).get_columns(name) if column["name"] != but]
        for statement in ddl(bind.dialect.name, name, columns, kept=kept):
            op.execute(statement)
