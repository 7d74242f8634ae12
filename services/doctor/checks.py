"""The checks of a deployment: clock, keys, databases, topics, what waits, what should be gone, the backup, the disk."""

import json
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select, text

from services.backup.take import LAST, PUBLIC
from services.doctor.findings import Finding, State
from services.doctor.patient import Patient
from services.embedded import RESTORING
from shared import keys, migrate, revocation, tables
from shared.db import Database
from shared.dead_letters import DEAD, PARKED
from shared.events.base import REGISTRY
from shared.keyfiles import KeyFileBroken, KeyFileExposed
from shared.keyring import EPOCH, RingFile
from shared.retention import ANSWERS, PUBLISHED, SEEN
from shared.topics import all_topics, group_of

OK, WARN, FAIL = State.OK, State.WARN, State.FAIL

APART_WARN, APART_FAIL = timedelta(seconds=2), timedelta(seconds=30)
"""Between this machine's clock and a database's. Tokens are believed for some seconds around their time, not more."""

AHEAD = timedelta(seconds=30)
"""A row so much newer than the clock says that the clock went back."""

KEY_AGE = timedelta(days=400)
"""A key of personal data in use for so long is due to be rotated: once a year, and a month to do it."""

OUTBOX_WARN, OUTBOX_FAIL = timedelta(minutes=1), timedelta(minutes=10)
LAG_WARN = 1_000
"""As the alerts (docs/operations.md)."""

GRACE = timedelta(days=2)
"""What is so much older than its period should have been deleted by the hourly job."""

BACKUP_WARN, BACKUP_FAIL = timedelta(hours=26), timedelta(days=7)
"""A daily backup may be late by two hours."""

FREE_WARN, FREE_FAIL = 0.10, 0.03
"""Of the disk that the home lies on."""

Check = Callable[[Patient], AsyncIterator[Finding]]
"""Looks, and answers one finding or several."""


async def clock(patient: Patient) -> AsyncIterator[Finding]:
    """This machine's clock against each database's, and against the newest rows."""
    for name, database in _there(patient):
        async with database.read() as tx:
            newest = await tx.scalar(select(func.max(tables.outbox.c.recorded_at)))
            before = patient.machine.now()
            told = None if database.sqlite else await tx.scalar(text("SELECT clock_timestamp()"))
        apart = abs(told - before) if told else timedelta(0)
        if newest and newest > patient.clock.now() + AHEAD:
            yield Finding(
                "clock", name, FAIL, f"facts are recorded as of {newest.isoformat(timespec='seconds')}, later than now",
                "the clock went back: set it right (NTP), then restart; 校准系统时间",
            )  # fmt: skip
        elif apart > APART_WARN:
            state = FAIL if apart > APART_FAIL else WARN
            yield Finding(
                "clock", name, state, f"the database's clock is {apart.total_seconds():.1f} s away from this machine's",
                "run NTP on both machines; 两台机器校准时间",
            )  # fmt: skip
        else:
            yield Finding("clock", name, OK, "agrees with the database")
    if patient.clock is not patient.machine:
        yield Finding(
            "clock", "", WARN, "this house has a clock that is moved by hand",
            "that is for demonstrations; a county's home has no file `clock`; 演示时钟不得用于正式环境",
        )  # fmt: skip


async def key_files(patient: Patient) -> AsyncIterator[Finding]:
    """There, readable by their owner only, the ring opens, not too old."""
    folder = patient.home / "keys"
    if missing := keys.missing(patient.settings):
        yield Finding(
            "keys", "", FAIL, f"{', '.join(missing)} is missing",
            "put it back from where the keys are kept (docs/backup.md); never make a new one for old data; 恢复密钥文件",
        )  # fmt: skip
        return
    files = [
        path for path in sorted(folder.glob("*")) if path.is_file()
    ]  # /dev/null lies over a key that is not for this process
    secret = [path for path in files if path.suffix not in PUBLIC and path.name != revocation.FILE]
    exposed = [path.name for path in secret if path.stat().st_mode & 0o077]
    if exposed:
        yield Finding(
            "keys", "", FAIL, f"others may read {', '.join(exposed)}",
            f"chmod 600 {' '.join(str(folder / name) for name in exposed)}; 收紧密钥文件权限",
        )  # fmt: skip
        return
    try:
        ring = RingFile(folder / "vault.json").read()
    except (KeyFileBroken, KeyFileExposed) as error:
        yield Finding("keys", "", FAIL, str(error), "put the right file back; 恢复密钥文件")
        return
    if ring.lost:
        yield Finding(
            "keys", "", FAIL, f"{', '.join(ring.lost)} cannot be unwrapped: what is sealed under it cannot be read",
            "`daohu keys status` counts the values; put the master key back that wraps it; 恢复主密钥",
        )  # fmt: skip
    now = patient.machine.now()
    since = ring.current("data", now).since
    if since != EPOCH and now - since > KEY_AGE:
        yield Finding(
            "keys", "", WARN, f"personal data is sealed under a key of {_age(now - since)}",
            "daohu keys rotate data; 轮换密钥",
        )  # fmt: skip
    elif not ring.lost:
        yield Finding("keys", "", OK, f"{len(ring.data) + len(ring.blind)} keys of personal data, all readable")


async def databases(patient: Patient) -> AsyncIterator[Finding]:
    """They answer, and their tables are those of this release."""
    if (patient.home / RESTORING).exists():
        yield Finding(
            "database",
            "",
            FAIL,
            "a restore into this home did not end",
            "give the same `daohu restore` again; 重新执行恢复命令",
        )
    for name, database in patient.databases.items():
        if database is None:
            yield Finding(
                "database", name, FAIL, "its file is not there", "is this the --home? `daohu up` makes it; 检查 --home"
            )
            continue
        try:
            await migrate.require(database)
        except migrate.NotMigrated as error:
            yield Finding("database", name, FAIL, str(error), "do what it says before anything is started; 按提示升级")
        except Exception as error:  # whatever it is, it does not answer
            yield Finding(
                "database", name, FAIL, f"does not answer ({type(error).__name__})",
                "is the server up, is the address right, may this machine reach it? 检查数据库服务",
            )  # fmt: skip
        else:
            yield Finding("database", name, OK, "answers, tables are those of this release")


async def topics(patient: Patient) -> AsyncIterator[Finding]:
    """All are there, with the partitions that are set."""
    if patient.bus is None:
        yield Finding("topics", "", FAIL, "there is no bus", "is this the --home? 检查 --home")
        return
    wanted = all_topics()
    if missing := sorted(set(wanted) - await patient.bus.topics()):
        how = "start `daohu up` of this release" if patient.embedded else "daohu migrate"
        yield Finding("topics", "", FAIL, f"{len(missing)} are missing, {missing[0]} first", f"{how}; 创建缺失的主题")
        return
    if patient.embedded:
        yield Finding("topics", "", OK, f"all {len(wanted)} are there")
        return
    reader = patient.bus.consumer("daohu.doctor", wanted)
    partitions = [tp[0] for tp in await reader.span()]
    await reader.close()
    fewer = [topic for topic in wanted if partitions.count(topic) < patient.settings.topic_partitions]
    if fewer:
        yield Finding(
            "topics", "", WARN, f"{len(fewer)} have fewer than {patient.settings.topic_partitions} partitions, {fewer[0]} first",
            "leave it: more partitions would break the order of keys; set DAOHU_TOPIC_PARTITIONS to what there is; 勿改分区数",
        )  # fmt: skip
    else:
        yield Finding("topics", "", OK, f"all {len(wanted)} are there, {len(partitions)} partitions")


async def outboxes(patient: Patient) -> AsyncIterator[Finding]:
    """Facts that wait to be published."""
    c = tables.outbox.c
    oldest = select(c.recorded_at).where(c.published_at.is_(None)).order_by(c.id).limit(1)
    for name, database in _there(patient):
        async with database.read() as tx:
            since = await tx.scalar(oldest)
        waits = patient.clock.now() - since if since else timedelta(0)
        if waits > OUTBOX_WARN:
            state = FAIL if waits > OUTBOX_FAIL else WARN
            yield Finding(
                "outbox", name, state, f"a fact has waited {_age(waits)} to be published",
                "does its worker run, does the bus answer? (docs/operations.md, DaohuOutboxOld); 检查 worker 与 Kafka",
            )  # fmt: skip
        else:
            yield Finding("outbox", name, OK, "nothing waits")


async def lag(patient: Patient) -> AsyncIterator[Finding]:
    """Events that a service has not taken yet."""
    if patient.bus is None:
        return
    for name, _ in _there(patient):
        if not (heard := _heard_by(name)):
            continue
        reader = patient.bus.consumer(group_of(name), heard)
        behind = await reader.lag()
        await reader.close()
        if behind > LAG_WARN:
            yield Finding(
                "lag", name, WARN, f"is {behind} events behind",
                "does its worker run? (docs/operations.md, DaohuConsumerLag); 检查 worker",
            )  # fmt: skip
        else:
            yield Finding("lag", name, OK, f"is {behind} events behind")


async def dead_letters(patient: Patient) -> AsyncIterator[Finding]:
    """Events that wait for a person."""
    c = tables.dead_letter.c
    for name, database in _there(patient):
        async with database.read() as tx:
            query = select(c.state, func.count()).where(tables.OPEN).group_by(c.state)
            found = {row[0]: row[1] for row in await tx.execute(query)}
        if found:
            yield Finding(
                "dead letters", name, WARN, f"{found.get(DEAD, 0)} dead, {found.get(PARKED, 0)} parked behind them",
                f"daohu events dlq list --service {name}; 处理死信",
            )  # fmt: skip
        else:
            yield Finding("dead letters", name, OK, "none")


async def retention(patient: Patient) -> AsyncIterator[Finding]:
    """Rows that should have been deleted: the job of their service does not run."""
    aged = [
        ("inbox", tables.inbox.c.seen_at, SEEN),
        ("idempotency", tables.idempotency.c.at, ANSWERS),
        ("outbox", tables.outbox.c.published_at, PUBLISHED),
    ]
    for name, database in _there(patient):
        late = []
        async with database.read() as tx:
            for table, column, period in aged:
                # The last published fact stays, however old: the next position follows from it.
                rows = (
                    (await tx.execute(select(column).where(column.is_not(None)).order_by(column).limit(2)))
                    .scalars()
                    .all()
                )
                oldest = rows[0] if len(rows) == 2 else None
                if oldest and patient.clock.now() - oldest > period + GRACE:
                    late.append(f"{table} (kept {period.days} days) since {oldest.date().isoformat()}")
        if late:
            yield Finding(
                "retention", name, WARN, f"old rows stay in {', '.join(late)}",
                "does its worker run? its log says `job_failed` with job=retention; 检查 worker 的 retention 任务",
            )  # fmt: skip
        else:
            yield Finding("retention", name, OK, "nothing is kept longer than it should be")


async def backup(patient: Patient) -> AsyncIterator[Finding]:
    """When the last one was made from this home, and whether it is still where it was put."""
    how = "daohu backup TO, every day (docs/backup.md); 立即备份"
    try:
        said = json.loads((patient.home / LAST).read_text(encoding="utf-8"))
        path, taken_at = Path(said["path"]), datetime.fromisoformat(said["taken_at"])
    except FileNotFoundError:
        yield Finding("backup", "", FAIL, "none was ever made from this home", how)
        return
    except (ValueError, KeyError, TypeError):
        yield Finding("backup", "", WARN, f"{LAST} cannot be read", how)
        return
    age = patient.machine.now() - taken_at
    if age < -AHEAD:
        yield Finding(
            "backup", "", WARN, f"the last one is of {_age(-age)} from now: the clock was wrong, then or now", how
        )
    elif age > BACKUP_WARN:
        yield Finding("backup", "", FAIL if age > BACKUP_FAIL else WARN, f"the last one is {_age(age)} old", how)
    elif _gone(path):
        yield Finding(
            "backup", "", WARN, f"{path} is no longer there", "was it moved to another machine? If not: " + how
        )
    else:
        yield Finding("backup", "", OK, f"{_age(age)} old, {path}")


def _gone(path: Path) -> bool:
    """Its folder is there, it is not; a folder that is not mounted now tells nothing."""
    return path.parent.is_dir() and not path.exists()


async def disk(patient: Patient) -> AsyncIterator[Finding]:
    """Of the home; the disk of a database server is its own machine's to watch."""
    used = shutil.disk_usage(patient.home)
    yield room(used.free, used.total)


def room(free: int, total: int) -> Finding:
    """In bytes."""
    share = free / total
    if share >= FREE_WARN:
        return Finding("disk", "", OK, f"{share:.0%} free")
    return Finding(
        "disk", "", FAIL if share < FREE_FAIL else WARN, f"{share:.0%} free ({free >> 20} MiB)",
        "make room (docs/operations.md, the disk is full); 清理磁盘",
    )  # fmt: skip


def _there(patient: Patient) -> list[tuple[str, Database]]:
    return [(name, database) for name, database in patient.databases.items() if database is not None]


def _heard_by(name: str) -> list[str]:
    return sorted({event.topic for event in REGISTRY.values() if name in event.consumers})


def _age(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    if seconds >= 2 * 86_400:
        return f"{seconds // 86_400} days"
    return f"{seconds // 3600} h" if seconds >= 2 * 3600 else f"{seconds // 60} min"
