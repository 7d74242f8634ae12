"""Where a backup is restored to: files of one home, or four databases and a Kafka. Both are empty before, and unserved until the end."""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Literal, Protocol

import asyncpg

from services import prepare
from services.backup import counts, postgres, resend
from services.backup.cut import plain
from services.backup.manifest import Book, Manifest, Store
from services.backup.take import BUS, file_of, is_embedded
from services.catalogue import NAMES
from services.embedded import RESTORING
from shared.bus import Bus
from shared.db import CONNECT_S, Database
from shared.ids import new_id
from shared.migrate import RESTORING as MARK
from shared.settings import Settings
from shared.topics import all_topics

PLACING = "placing"
"""In the folder `restoring`, from when the first file is put in its place: only then are files that lie there the restore's own."""

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file."""


class NotEmpty(Exception):
    """Something is there. A restore never goes over a house; the text says what is in its way."""


class Place(Protocol):
    mode: Literal["embedded", "cluster"]

    @property
    def ledger(self) -> str:
        """The address of the restored funds database."""
        ...

    async def require_empty(self, id: str) -> None:
        """Takes away what an earlier restore left that did not end, `id` being the backup that is to be restored. Raises NotEmpty."""
        ...

    async def put(self, staging: Path, manifest: Manifest) -> None: ...

    async def look(self) -> tuple[dict[str, Store], dict[str, Book]]: ...

    async def tell(self, manifest: Manifest) -> Counter[str]:
        """What the others must hear again is sent. Raises BusError: the same restore may then be given again."""
        ...

    async def finish(self, staging: Path) -> None:
        """From here on it may be served."""
        ...

    async def undo(self) -> None:
        """As empty as it was."""
        ...


def of(home: Path, urls: Mapping[str, str]) -> Place:
    return Files(home, urls) if is_embedded(urls) else Servers(home, urls)


class Files:
    """The embedded mode. The folder `restoring` in the home keeps a house from running on it (services/embedded.py)."""

    mode: Literal["embedded", "cluster"] = "embedded"

    def __init__(self, home: Path, urls: Mapping[str, str]) -> None:
        self._files = {**{name: file_of(url) for name, url in urls.items()}, BUS: home / "bus.db"}
        self._staging = home / RESTORING

    @property
    def ledger(self) -> str:
        return f"sqlite:///{(self._staging / 'funds.db').absolute()}"

    async def require_empty(self, id: str) -> None:
        if (self._staging / PLACING).exists():  # a restore died here, and nobody has used the home since
            for path in self._files.values():
                for each in (path, *(path.with_name(path.name + end) for end in BESIDE)):
                    each.unlink(missing_ok=True)
        if there := [path for path in self._files.values() if path.exists()]:
            raise NotEmpty(
                f"{there[0]} is there: a restore never goes over a house. Choose another --home, or move it away."
            )

    async def put(self, staging: Path, manifest: Manifest) -> None:
        """It was unpacked there."""

    async def look(self) -> tuple[dict[str, Store], dict[str, Book]]:
        stores: dict[str, Store] = {}
        books: dict[str, Book] = {}
        for name in self._files:
            with closing(sqlite3.connect(self._staging / f"{name}.db")) as opened:
                ask = counts.of_file(opened)
                stores[name] = await counts.store(ask, name, sqlite=True)
                if name == "funds":
                    books = await counts.books(ask)
        return stores, books

    async def tell(self, manifest: Manifest) -> Counter[str]:
        """Nothing: the bus is of the same instant."""
        return Counter()

    async def finish(self, staging: Path) -> None:
        moved: list[Path] = []
        (staging / PLACING).touch()
        try:
            for name, path in self._files.items():
                (staging / f"{name}.db").replace(path)
                moved.append(path)
        except OSError:
            for path in moved:
                path.unlink()
            raise

    async def undo(self) -> None:
        """Nothing has left the folder."""


class Servers:
    """PostgreSQL and Kafka. A table `daohu_restoring` keeps processes from serving a database (shared/migrate.py)."""

    mode: Literal["embedded", "cluster"] = "cluster"

    def __init__(self, home: Path, urls: Mapping[str, str]) -> None:
        self._settings, self._urls = Settings(home=home), dict(urls)

    @property
    def ledger(self) -> str:
        return plain(self._urls["funds"])

    async def require_empty(self, id: str) -> None:
        begun = 0
        async with AsyncExitStack() as stack:
            for name in NAMES:
                connection = await self._connect(name, stack)
                postgres.require_client("pg_restore", postgres.version_of(connection))
                if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", MARK):
                    begun += id == await connection.fetchval(f"SELECT backup FROM {MARK}")  # noqa: S608
                    await postgres.empty(connection)
                elif tables := await counts.tables(counts.of_server(connection), sqlite=False):
                    raise NotEmpty(
                        f"The database of {name} holds {len(tables)} tables: a restore never goes over a house. Give empty databases."
                    )
        if begun < len(NAMES):  # what this same restore has sent before does no harm a second time
            async with AsyncExitStack() as stack:
                await _require_new(await self._bus(stack))

    async def put(self, staging: Path, manifest: Manifest) -> None:
        async with AsyncExitStack() as stack:
            for name in NAMES:
                connection = await self._connect(name, stack)
                await connection.execute(f"CREATE TABLE IF NOT EXISTS {MARK} (backup text NOT NULL)")
                await connection.execute(f"DELETE FROM {MARK}")  # noqa: S608
                await connection.execute(f"INSERT INTO {MARK} VALUES ($1)", str(manifest.id))  # noqa: S608
        for name in NAMES:
            await postgres.restore(self._urls[name], staging / f"{name}.dump", staging / f"{name}.list")

    async def look(self) -> tuple[dict[str, Store], dict[str, Book]]:
        stores: dict[str, Store] = {}
        books: dict[str, Book] = {}
        async with AsyncExitStack() as stack:
            for name in NAMES:
                ask = counts.of_server(await self._connect(name, stack))
                stores[name] = await counts.store(ask, name, sqlite=False)
                if name == "funds":
                    books = await counts.books(ask)
        return stores, books

    async def tell(self, manifest: Manifest) -> Counter[str]:
        await prepare.topics(self._settings)
        async with AsyncExitStack() as stack:
            databases = {
                name: Database(url, service=name, pools=(1, 1), application="daohu-restore", command_s=None)
                for name, url in self._urls.items()
            }
            for database in databases.values():
                stack.push_async_callback(database.close)
                async with database.write() as tx:
                    await resend.of_old_kafka(tx)
            return await resend.resend(databases, await self._bus(stack), now=manifest.clock)

    async def finish(self, staging: Path) -> None:
        async with AsyncExitStack() as stack:
            for name in NAMES:
                await (await self._connect(name, stack)).execute(f"DROP TABLE {MARK}")

    async def undo(self) -> None:
        async with AsyncExitStack() as stack:
            for name in NAMES:
                connection = await self._connect(name, stack)
                await postgres.empty(connection)
                await connection.execute(f"DROP TABLE IF EXISTS {MARK}")

    async def _connect(self, name: str, stack: AsyncExitStack) -> asyncpg.Connection:
        connection = await asyncpg.connect(plain(self._urls[name]), timeout=CONNECT_S)
        stack.push_async_callback(connection.close)
        return connection

    async def _bus(self, stack: AsyncExitStack) -> Bus:
        from shared.kafka import KafkaBus  # a client that the embedded mode never loads

        bus = KafkaBus(self._settings.kafka_bootstrap_servers, client_id="daohu-restore")
        stack.push_async_callback(bus.stop)
        await bus.start()
        return bus


async def _require_new(bus: Bus) -> None:
    """Raises NotEmpty when a topic of ours holds or held records: they may tell of what the backup does not know."""
    there = sorted(await bus.topics() & set(all_topics()))
    if not there:
        return
    reader = bus.consumer(f"daohu.restore.{new_id()}", there)
    try:
        used = sorted({tp[0] for tp, span in (await reader.span()).items() if span.end})
    finally:
        await reader.close()
    if used:
        raise NotEmpty(
            f"Kafka has records of before, in {len(used)} topics, {used[0]} first: they tell of what the backup does not know. "
            "Delete the topics daohu.* or give a new Kafka."
        )
