"""What a measurement stands on: a folder, a PostgreSQL with full durability, a Kafka. Started when first asked for."""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.kafka import Kafka
from tests.servers.postgres import Postgres

POSTGRES = ("shared_buffers=2GB", "max_wal_size=4GB", "min_wal_size=4GB", "checkpoint_timeout=30min")
"""Durability is PostgreSQL's own default: fsync and synchronous_commit on. WAL files are recycled, not made, as in a server that has run a while."""


class Env:
    """`stack` is unwound at the end of the module: whatever a module opens, it registers there."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        # Not /tmp: on some machines that is memory, and a commit there costs nothing.
        self.folder = Path(tempfile.mkdtemp(prefix="daohu-bench-", dir="/var/tmp"))
        self._postgres: Postgres | None = None
        self._kafka: Kafka | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.close()
        for server in (self._kafka, self._postgres):
            if server is not None:
                server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def postgres(self) -> Postgres:
        """A durable server. `take()` names an empty database, `url(name)` its address."""
        if self._postgres is None:
            self.folder.chmod(0o755)
            self._postgres = Postgres(self.room("postgres"), durable=True, settings=POSTGRES)
        return self._postgres

    @property
    def kafka(self) -> Kafka:
        """One broker."""
        if self._kafka is None:
            self._kafka = Kafka(self.room("kafka"))
        return self._kafka

    def room(self, name: str) -> Path:
        """An empty folder of this run."""
        path = self.folder / name
        path.mkdir()
        return path
