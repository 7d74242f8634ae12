"""One database a service: SQLite in the embedded mode, PostgreSQL in the distributed one. The same stores run on both."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    ColumnElement,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    RowMapping,
    Select,
    String,
    TypeDecorator,
    any_,
    event,
    false,
    func,
    literal,
    make_url,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import Table

from shared import faults, keyfiles, sqlite_inline
from shared.lookups import Lookups, PostgresLookups, SqliteLookups
from shared.scope import Area

assert sqlite_inline  # registers sqlite+inline

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

BigId = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit integer that SQLite can also number by itself as a primary key."""

Json = JSON().with_variant(JSONB, "postgresql")

DivisionCode = String(12)

PRIVATE = {"hide_parameters": True}
"""An error of the database names the statement, never its values: they may be personal data, and errors are logged."""

CHUNK, ARRAY_CHUNK = 500, 5_000
"""Values in one IN list, and in one array of PostgreSQL."""

PLANNED_ANEW = 1_000
"""More values than these are worth a plan of their own each time. The statements beside them are not: the checks of foreign keys,
a statement a row, would be planned a row."""


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


JSON_CODEC = {"json_serializer": _json, "json_deserializer": orjson.loads}

CONNECT_S, COMMAND_S, POOL_WAIT_S, CLOSE_S = 5.0, 60.0, 10.0, 1.0
"""PostgreSQL: how long a connection is tried for, a statement may take, a free connection of the pool is waited for, and the
end of all of them takes at most."""

SESSION = {
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "2",
    "idle_in_transaction_session_timeout": "120s",
    "jit": "off",
}
"""Asked of the server for each connection: it notices within some 5 s that our machine has gone, and frees its locks; a process
that stands still in a transaction holds them for so long at most; our statements are too short for a compiler."""


class Instant(TypeDecorator[datetime]):
    """A point in time: always aware, always UTC, on both databases (SQLite keeps ISO text, which sorts)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(String(32) if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant carries its zone")
        value = value.astimezone(UTC)
        return value.isoformat(timespec="microseconds") if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return datetime.fromisoformat(value) if isinstance(value, str) else value.astimezone(UTC)


def new_metadata() -> MetaData:
    return MetaData(naming_convention=NAMING)


def in_area(column: ColumnElement[str], area: Area) -> ColumnElement[bool]:
    """The area rule as SQL: the division column lies in the caller's area. An empty area matches nothing.

    A range instead of LIKE, so that both databases use the plain index on the column.
    """
    if "" in area.prefixes:
        return true()
    if not area.prefixes:
        return false()
    bounds = area_bounds(area)
    return or_(*(column.between(low, high) for low, high in zip(bounds[::2], bounds[1::2], strict=True)))


def area_bounds(area: Area) -> list[str]:
    """The first and the last code of each prefix of an area, in turn."""
    return [bound for prefix in area.prefixes for bound in (prefix.ljust(12, "0"), prefix.ljust(12, "9"))]


@cache
def in_area_text(column: str, prefixes: int, first: int) -> str:
    """`in_area` as text for `Database.look_up`: takes the `area_bounds` of so many prefixes, from place `$first` on."""
    places = range(first, first + 2 * prefixes, 2)
    return "(" + (" or ".join(f"{column} between ${n} and ${n + 1}" for n in places) or "false") + ")"


def insert_ignoring(tx: AsyncConnection, table: Table) -> Any:
    """INSERT … ON CONFLICT DO NOTHING in the dialect of this connection."""
    insert = postgresql_insert if tx.dialect.name == "postgresql" else sqlite_insert
    return insert(table).on_conflict_do_nothing()


def upsert(tx: AsyncConnection, table: Table, *, keys: tuple[str, ...], forward: str = "") -> Any:
    """INSERT … ON CONFLICT (keys) DO UPDATE of every other column: a row names them all, what it leaves out becomes NULL.

    `forward` names a version column: a row that is there with a newer version stays as it is.
    Give the rows as parameters, `tx.execute(upsert(…), rows)`: that is eight times faster than `.values(row)`.
    """
    return _upsert(tx.dialect.name, table, keys, forward)


@cache
def _upsert(dialect: str, table: Table, keys: tuple[str, ...], forward: str) -> Any:
    insert = (postgresql_insert if dialect == "postgresql" else sqlite_insert)(table)
    changed = {c.name: insert.excluded[c.name] for c in table.columns if c.name not in keys}
    newer = table.c[forward] <= insert.excluded[forward] if forward else None
    return insert.on_conflict_do_update(index_elements=list(keys), set_=changed, where=newer)


async def in_line(tx: AsyncConnection, name: str) -> None:
    """Until its end, this transaction is the only one of that name: others wait here, on whatever machine they run.

    On SQLite there is one writer anyway.
    """
    if tx.dialect.name == "postgresql":
        await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def chunked(
    tx: AsyncConnection, query: Select[Any], column: ColumnElement[Any], values: Iterable[Any]
) -> AsyncIterator[RowMapping]:
    """The rows of a query for any number of values of a column, so many values a statement; others get the loop in between."""
    wanted = list(dict.fromkeys(values))
    arrays = tx.dialect.name == "postgresql"  # one parameter and one plan, however many they are
    size = ARRAY_CHUNK if arrays else CHUNK
    anew = arrays and len(wanted) > PLANNED_ANEW
    for start in range(0, len(wanted), size):
        part = wanted[start : start + size]
        among = column == any_(literal(part, ARRAY(column.type))) if arrays else column.in_(part)
        if (
            anew
        ):  # a plan kept from when the table was empty reads all of it for each value: minutes instead of a second
            await tx.exec_driver_sql("SET LOCAL plan_cache_mode = force_custom_plan")
        rows = (await tx.execute(query.where(among))).mappings()
        if anew:
            await tx.exec_driver_sql("SET LOCAL plan_cache_mode TO DEFAULT")
        for row in rows:
            yield row
        await asyncio.sleep(0)


class Database:
    """Connections of one service to its own database.

    SQLite: one writer at a time (BEGIN IMMEDIATE, synchronous=FULL), readers beside it (WAL).
    PostgreSQL: a pool for each, so that a request that reads while the ledger's writer writes for it never waits for itself.
    """

    def __init__(
        self,
        url: str,
        *,
        service: str,
        pools: tuple[int, int] = (10, 10),
        application: str = "",
        command_s: float | None = COMMAND_S,
    ) -> None:
        """`pools`: connections to read and to write with; `application`: its name in pg_stat_activity; `command_s`: of one statement."""
        self.service = service
        self.url = _driver(url)
        self.sqlite = self.url.startswith("sqlite")
        self._lookups: Lookups
        if self.sqlite:
            self._writer = _sqlite_engine(self.url, pool_size=1, begin="BEGIN IMMEDIATE")
            self._reader = _sqlite_engine(self.url, pool_size=5, begin="BEGIN", pragmas=("query_only=ON",))
            self._lookups = SqliteLookups(self._reader)
        else:
            name = application or f"daohu-{service}"
            connect = {
                "timeout": CONNECT_S,
                "command_timeout": command_s,
                "server_settings": {"application_name": name, **SESSION},
            }
            self._writer = _postgres_engine(self.url, pools[1], connect)
            self._lookups = PostgresLookups(self.url, connect)
            self._reader = _postgres_engine(
                self.url,
                pools[0],
                connect,
                isolation_level="REPEATABLE READ",
                execution_options={"postgresql_readonly": True},
            )

    @property
    def writer(self) -> AsyncEngine:
        return self._writer

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A consistent, read-only view."""
        async with self._reader.connect() as connection, _given_up_at_once(connection):
            yield connection

    async def look_up(self, statement: str, values: Sequence[Any]) -> Sequence[Any] | None:
        """The first row of one statement outside any transaction; its values stand at `$1`, `$2` … Raises DBAPIError."""
        return await self._lookups.row(statement, values)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed when the block ends well, rolled back when it raises."""
        async with self._writer.connect() as connection, _given_up_at_once(connection):
            await connection.begin()
            yield connection
            faults.point(self.service, "before_commit")
            await connection.commit()
        faults.point(self.service, "after_commit")

    async def empty_log(self) -> bool:
        """SQLite: writes the log (`-wal`) into the file and cuts it to nothing; what was erased stands in it until then.

        Nobody waits for it, so it is done only when nobody reads or writes at this moment. Answers whether it was.
        """
        return not self.sqlite or await asyncio.to_thread(_empty_log, make_url(self.url).database)

    def connections(self) -> dict[str, tuple[int, int]]:
        """Of the pools to read and to write with: connections handed out, and how many there may be."""
        pools: dict[str, Any] = {"read": self._reader.pool, "write": self._writer.pool}
        return {name: (pool.checkedout(), pool.size()) for name, pool in pools.items()}

    async def close(self) -> None:
        """Takes leave of the server; one that does not answer in CLOSE_S is left alone."""
        await self._lookups.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._reader.dispose()
                await self._writer.dispose()


@asynccontextmanager
async def _given_up_at_once(connection: AsyncConnection) -> AsyncIterator[None]:
    """Cuts the connection of whoever is cancelled or was not answered in time: a server that stands still answers no rollback either."""
    try:
        yield
    except (asyncio.CancelledError, TimeoutError):
        await connection.invalidate()
        raise


def _empty_log(path: str | None) -> bool:
    with closing(sqlite3.connect(path or ":memory:", timeout=0, isolation_level=None)) as connection:
        busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return not busy


def _driver(url: str) -> str:
    """Names our drivers: people write sqlite:///… and postgresql://…"""
    url = re.sub(r"^postgres(ql)?://", "postgresql+asyncpg://", url)
    return re.sub(r"^sqlite://", "sqlite+inline://", url)


def _postgres_engine(url: str, pool_size: int, connect: dict[str, Any], **given: Any) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S,
        connect_args=connect,
        **PRIVATE,
        **JSON_CODEC,
        **given,
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def _alive(connection: Any, _: Any, __: Any) -> None:
        # Instead of pool_pre_ping, which asks the server three questions each time: the driver knows a connection that was cut.
        if connection.driver_connection.is_closed():
            raise DisconnectionError

    return engine


def _sqlite_engine(url: str, *, pool_size: int, begin: str, pragmas: tuple[str, ...] = ()) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=pool_size, max_overflow=0, **PRIVATE, **JSON_CODEC)

    @event.listens_for(engine.sync_engine, "do_connect")
    def _own(_: Any, __: Any, arguments: Sequence[Any], ___: Any) -> None:
        keyfiles.own(arguments[0])

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=5000",
            "cache_size=-65536",
            "secure_delete=ON",
            *pragmas,
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
