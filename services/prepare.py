"""What a deployment stands on: tables, topics and keys. `daohu migrate` makes what is missing; running services make nothing."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from services import catalogue
from services.funds.proofs import logkeys
from shared import keys, migrate
from shared.db import Database
from shared.settings import Settings
from shared.topics import all_topics


async def tables(names: Iterable[str] = catalogue.NAMES, **given: Any) -> None:
    """Brings the tables of services up to date. Two at once on one PostgreSQL: the second waits, and finds nothing to do."""
    for name in names:
        settings = catalogue.part(name).settings.of(**given)
        database = Database(settings.url, service=name, pools=(1, 1), application="daohu-migrate", command_s=None)
        try:
            await migrate.upgrade(database)
        finally:
            await database.close()


async def topics(settings: Settings) -> list[str]:
    """Makes the topics of all services that do not exist yet, and returns the names of all. Raises BusError."""
    from shared.kafka import KafkaBus  # a client that the embedded mode never loads

    bus = KafkaBus(settings.kafka_bootstrap_servers, replicas=settings.topic_replicas, client_id="daohu-migrate")
    wanted = all_topics()
    await bus.start()
    try:
        await bus.create_topics(wanted, settings.topic_partitions)
    finally:
        await bus.stop()
    return wanted


def all_keys(home: Path) -> Path:
    """Makes the keys that are not there yet, and returns their folder."""
    keys.make(home)
    logkeys.make(home)
    return home / "keys"
