"""`daohu migrate`: twice and from two places at once; and the connections that a whole deployment may take."""

import asyncio

from services import catalogue, prepare
from shared import lookups, migrate
from shared.db import Database
from shared.settings import POOLS

REPLICAS = 2
MAX_CONNECTIONS, FOR_OTHERS = 200, 20
"""Of docker-compose.yml's PostgreSQL; and what migrate, dump, the operator and the superuser may need."""

LEDGER = 1
"""The pipelined connection of a ledger's writer."""


async def test_tables_may_be_made_from_two_places_at_once_and_again(tmp_path, postgres_url):
    given = {"home": tmp_path, "database_url": postgres_url}
    await asyncio.gather(prepare.tables(["notify"], **given), prepare.tables(["notify"], **given))
    await prepare.tables(["notify"], **given)
    database = Database(postgres_url, service="notify")
    await migrate.require(database)
    assert await migrate.drift(database, catalogue.part("notify").tables) == []
    await database.close()


def test_a_deployment_with_two_replicas_of_everything_fits_into_one_server():
    each_api = sum(POOLS["api"]) + lookups.CONNECTIONS
    each_worker = sum(POOLS["worker"])
    whole = REPLICAS * (len(catalogue.NAMES) * (each_api + each_worker) + LEDGER)
    assert whole <= MAX_CONNECTIONS - FOR_OTHERS
