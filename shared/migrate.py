"""Brings a service's tables up to date, on SQLite and PostgreSQL, and keeps money and audit rows append-only.

Each database has two lines of migrations: the kit's (shared/migrations, the same in all four) and its service's own
(services/<name>/migrations). Each service has its own version table; `env.py` is a few lines.
"""

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from alembic import command, context, op
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from shared import tables
from shared.append_only import ddl
from shared.db import BigId, Database, Instant, Json

KIT = "kit"
_SHARED = Path(__file__).parent
_SERVICES = _SHARED.parent / "services"


class NotMigrated(Exception):
    """The tables are not those of this release. The text says what to do."""


async def require(database: Database) -> None:
    """Raises NotMigrated unless the tables are those of this code. Changes nothing."""
    wanted = set(ScriptDirectory.from_config(_config(database.service)).get_heads())

    def found(connection: Connection) -> set[str]:
        context = MigrationContext.configure(connection, opts={"version_table": f"{database.service}_version"})
        return set(context.get_current_heads())

    async with database.read() as tx:
        there = await tx.run_sync(found)
    if there != wanted:
        said = ", ".join(sorted(there)) or "none"
        raise NotMigrated(
            f"the tables of {database.service} are at {said}, this release needs {', '.join(sorted(wanted))}: "
            "run `daohu migrate` of this release, or start the release that they belong to"
        )


async def upgrade(database: Database, *, revision: str = "heads") -> None:
    """Runs what has not run yet. Two at once on PostgreSQL: the second waits."""
    async with database.writer.begin() as connection:
        await connection.run_sync(_upgrade, database.service, revision)


def _upgrade(connection: Connection, service: str, revision: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(6109)"))
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
        "transaction_per_migration": False,
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
