"""Migrations: from nothing to the tables the code names, on both databases, and money and audit rows cannot be changed."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.catalogue import NAMES, part
from shared import migrate, tables
from shared.db import Database


@pytest.fixture(params=sorted(NAMES))
async def migrated(request, database_url):
    database = Database(database_url, service=request.param)
    await migrate.upgrade(database)
    yield database
    await database.close()


async def test_the_migrated_tables_are_those_the_code_names(migrated):
    assert await migrate.drift(migrated, part(migrated.service).tables) == []


async def test_migrating_again_does_nothing(migrated):
    await migrate.upgrade(migrated)
    assert await migrate.drift(migrated, part(migrated.service).tables) == []


async def test_an_audit_row_can_be_added_but_neither_changed_nor_deleted(migrated):
    row = "insert into audit (at, actor, action, subject, facts) values (:at, 'a', 'b', 'c', '{}')"
    at = "2016-11-01T00:00:00.000000+00:00"
    async with migrated.write() as tx:
        if migrated.sqlite:
            await tx.execute(text(row), {"at": at})
        else:
            await tx.execute(text(row.replace(":at", f"'{at}'")))
    for change in ("update audit set actor = 'x'", "delete from audit"):
        with pytest.raises(DBAPIError, match="append-only"):
            async with migrated.write() as tx:
                await tx.execute(text(change))


async def test_every_append_only_table_has_its_triggers(migrated):
    protected = {
        table.name
        for metadata in (tables.metadata, part(migrated.service).tables)
        for table in metadata.sorted_tables
        if table.info.get("append_only")
    }
    query = (
        "select tbl_name, name from sqlite_master where type = 'trigger'"
        if migrated.sqlite
        else "select tgrelid::regclass::text, tgname from pg_trigger where not tgisinternal"
    )
    async with migrated.read() as tx:
        found = {(table, name.removeprefix(table)) for table, name in await tx.execute(text(query))}
    assert "audit" in protected
    assert {(table, f"_no_{act}") for table in protected for act in ("update", "delete")} - found == set()


async def test_what_each_batch_asks_of_dead_letters_reads_the_open_ones_alone(migrated):
    explain = "explain query plan" if migrated.sqlite else "explain"
    async with migrated.write() as tx:
        if not migrated.sqlite:
            await tx.execute(text("set local enable_seqscan = off"))
        query = f"{explain} select distinct topic, key from dead_letter where \"group\" = 'g' and {tables.OPEN.text}"
        plan = str((await tx.execute(text(query))).all())
    assert "ix_dead_letter_open" in plan
    index = (
        "select sql from sqlite_master where name = :name"
        if migrated.sqlite
        else "select indexdef from pg_indexes where indexname = :name"
    )
    async with migrated.read() as tx:
        assert "parked" in (await tx.execute(text(index), {"name": "ix_dead_letter_open"})).scalar_one()


async def test_a_migration_gives_way_to_who_uses_its_table_and_runs_when_it_is_free(postgres_url, monkeypatch):
    monkeypatch.setattr(migrate, "LOCK_MS", 50)
    monkeypatch.setattr(migrate, "TRIES", 3)
    monkeypatch.setattr(migrate, "PAUSE_FIRST_S", 0.01)
    database = Database(postgres_url, service="notify")
    await migrate.upgrade(database, revision="kit_0001")  # kit_0002 wants dead_letter for itself
    async with database.write() as tx:
        await tx.execute(text("select count(*) from dead_letter"))
        with pytest.raises(migrate.TablesBusy):
            await migrate.upgrade(database)
    await migrate.upgrade(database)
    assert await migrate.drift(database, part("notify").tables) == []
    await database.close()


async def test_tables_behind_this_release_are_refused_and_those_of_a_newer_one_serve(database_url):
    database = Database(database_url, service="funds")
    for revision, missing in (("kit@head", "0003"), ("0001", "0003")):
        await migrate.upgrade(database, revision=revision)
        with pytest.raises(migrate.NotMigrated, match=f"needs .*{missing}.*daohu migrate"):
            await migrate.require(database)
    await migrate.upgrade(database)
    await migrate.require(database)
    async with database.write() as tx:
        await tx.execute(text("update funds_version set version_num = 'kit_9999' where version_num like 'kit_%'"))
    await migrate.require(database)
    await database.close()
