"""Look-ups: one statement on the driver itself, outside any transaction, for the few routes that are asked all day.

SQLAlchemy's connection, transaction and statement cost such a route more than its database does, five times on PostgreSQL.
One statement sees one consistent state anyway. Everything else reads through `Work.tx`.
"""

import asyncio
import re
import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Protocol
from uuid import UUID

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

CONNECTIONS = 3
"""Of PostgreSQL, made when they are first needed; a look-up has one for a fraction of a millisecond."""

RELEASE_S = 2.0
"""A look-up that was given up waits so long for the server to notice; then its connection is cut."""

ASYNCPG_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""The last: the server has said that it gives a connection up, and has not yet cut it."""

PLAN_ONCE = {"plan_cache_mode": "force_generic_plan"}
"""A look-up goes by a key whatever its values are; planning it anew takes longer than running it."""


class Lookups(Protocol):
    async def row(self, statement: str, values: Sequence[Any]) -> Sequence[Any] | None:
        """The first row of a statement whose values stand at `$1`, `$2` … Raises DBAPIError, OSError."""
        ...

    async def close(self) -> None: ...


class SqliteLookups:
    """On one reading connection of the engine, kept: each look-up is over before anybody else has the loop again."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._kept: PoolProxiedConnection | None = None

    async def row(self, statement: str, values: Sequence[Any]) -> Sequence[Any] | None:
        if self._kept is None:
            self._kept = await greenlet_spawn(self._engine.sync_engine.pool.connect)
        driver: Any = self._kept.driver_connection
        plain = [value.hex if isinstance(value, UUID) else value for value in values]
        try:
            row: Sequence[Any] | None = sqlite3.Cursor(driver).execute(_numbered(statement), plain).fetchone()
        except sqlite3.Error as error:
            raise failed(statement, error) from error
        return row

    async def close(self) -> None:
        if self._kept is not None:
            await greenlet_spawn(self._kept.close)
            self._kept = None


class PostgresLookups:
    """On a few connections of its own: SQLAlchemy's pool costs several times the statement when callers wait for it."""

    def __init__(self, url: str, connect: Mapping[str, Any]) -> None:
        self._url = re.sub(r"\+\w+(?=://)", "", url)
        self._connect = {**connect, "server_settings": {**connect.get("server_settings", {}), **PLAN_ONCE}}
        self._opening = asyncio.Lock()
        self._pool: asyncpg.Pool | None = None

    async def row(self, statement: str, values: Sequence[Any]) -> Sequence[Any] | None:
        try:
            pool = self._pool or await self._open()
            connection = await pool.acquire()
            try:
                row: Sequence[Any] | None = await connection.fetchrow(statement, *values)
            finally:
                await pool.release(connection, timeout=RELEASE_S)
        except ASYNCPG_ERRORS as error:
            raise failed(statement, error) from error
        return row

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url, min_size=0, max_size=CONNECTIONS, reset=_as_it_is, **self._connect
                )
        return self._pool

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None


async def _as_it_is(_: Any) -> None:
    """A look-up leaves nothing on its connection that would have to be reset, which asks the server each time."""


@cache
def _numbered(statement: str) -> str:
    """`$1` as SQLite writes it: `?1`."""
    return re.sub(r"\$(?=\d)", "?", statement)


def failed(statement: str, error: Exception) -> DBAPIError:
    """A driver's error as SQLAlchemy would name it."""
    kind: type[DBAPIError] = DBAPIError
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        kind = IntegrityError
    elif isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError) and not isinstance(error, ValueError):
        kind = InterfaceError
    return kind(statement, None, error, hide_parameters=True)
