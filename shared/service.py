"""A running service: its database, its place on the bus, its handlers and jobs, and the units of work it hands out."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from sqlalchemy import MetaData, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from shared import keys, retention, rotation, telemetry
from shared.bus import Bus
from shared.clock import Clock, MovableClock, SystemClock
from shared.consumer import Group, Handler
from shared.db import Database, in_line
from shared.events.base import Envelope
from shared.failures import place_of
from shared.looks import OwnLook, looks_of
from shared.metrics import JOB_FAILURES, JOB_SUCCESS
from shared.observability import log
from shared.outbox import Relay
from shared.policy import PolicyBook
from shared.roles import Caller
from shared.settings import Settings
from shared.settling import Standing
from shared.tables import outbox
from shared.work import SYSTEM, Work

MOVED_CLOCK_SECONDS = 0.05
"""How soon a job notices that a movable clock was moved."""

RETENTION_EVERY_S = 3600.0

AGAIN_S = 10.0
"""After a job has failed, however seldom it runs otherwise."""


@dataclass(frozen=True, slots=True)
class Job:
    """Clock-driven work of a service. `run` may run in several replicas at once and again after a crash."""

    name: str
    every_s: float
    run: Callable[["Service"], Awaitable[None]]


class JobsFailed(RuntimeError):
    """Jobs that were asked for now have failed. They are tried again in their time; readiness names them."""


class Service:
    """One of the four services as it runs. `app.state.service` in its FastAPI app."""

    def __init__(
        self,
        settings: Settings,
        bus: Bus,
        *,
        handlers: Sequence[Handler] = (),
        jobs: Sequence[Job] = (),
        looks: Mapping[str, OwnLook] | None = None,
        relays: bool = True,
        tables: MetaData | None = None,
    ) -> None:
        """`tables`: the service's own, whose sealed values its workers renew when keys are rotated."""
        self.settings, self.name, self.bus = settings, settings.service, bus
        self.log, self.spans = log(self.name), telemetry.spans(self.name)
        self.clock: Clock = MovableClock(settings.home / "clock") if settings.clock == "movable" else SystemClock()
        self.policies = PolicyBook.load(settings.policies)
        self.vault = keys.vault(settings)
        self.verifier = keys.verifier(settings, self.clock)
        self.database = Database(
            settings.url, service=self.name, pools=settings.pools, application=f"daohu-{self.name}-{settings.role}"
        )
        renewal = (Job("renewal", rotation.EVERY_S, partial(_renew, tables)),) if tables is not None else ()
        self.handlers, self.jobs, self.tables = tuple(handlers), (*jobs, *renewal), tables
        self.relay = Relay(self.database, bus, self.name, clock=self.clock) if relays else None
        self.group = Group(
            self.name,
            self.handlers,
            self.database,
            bus,
            self._work_for_event,
            clock=self.clock,
            after_commit=self._wake_relay,
        )
        self.looks = looks_of(self, looks or {})
        self._tasks: list[asyncio.Task[None]] = []
        self._job_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._job_failed: set[str] = set()
        self._stopping = False
        self.waits_for = ""
        """What it cannot begin without; empty once it runs."""
        self.failed = asyncio.Event()
        """A loop of it has ended that should not: its process must end and be started anew."""

    @property
    def works(self) -> bool:
        """Whether this process runs the loops: relay, consumers, jobs."""
        return self.settings.role in ("worker", "all")

    @property
    def serves(self) -> bool:
        """Whether this process answers the API."""
        return self.settings.role in ("api", "all")

    @asynccontextmanager
    async def work(
        self, caller: Caller = SYSTEM, *, write: bool = True, request: Request | None = None
    ) -> AsyncIterator[Work]:
        """A unit of work. With `write` it commits when the block ends well; without, it sees one consistent state."""
        async with self.database.write() if write else self.database.read() as tx:
            traceparent = telemetry.at_work(request.headers.get("traceparent")) if request else None
            work = self._new_work(tx, caller, traceparent=traceparent)
            yield work
            await work.flush()
        if write:
            self._wake_relay()

    def _wake_relay(self) -> None:
        if self.relay is not None:
            self.relay.wake()

    def _new_work(
        self, tx: AsyncConnection, caller: Caller, *, causation_id: str | None = None, traceparent: str | None = None
    ) -> Work:
        self.vault.look()
        return Work(tx, self.name, caller, self.clock, self.policies, self.vault, causation_id, traceparent)

    def _work_for_event(self, tx: AsyncConnection, envelope: Envelope) -> Work:
        return self._new_work(
            tx, SYSTEM, causation_id=str(envelope.id), traceparent=telemetry.at_work(envelope.traceparent)
        )

    async def start(self) -> None:
        """Starts what this process's role asks for: the worker side runs relay, consumers and jobs."""
        if self.serves:
            self.verifier.look()  # the keys of issuers are on their way before the first request
        if self.works:
            jobs = (*self.jobs, Job("retention", RETENTION_EVERY_S, _forget_old))
            loops: list[Callable[[], Awaitable[None]]] = [lambda job=job: self._repeat(job) for job in jobs]  # type: ignore[misc]
            if self.relay is not None:
                loops.append(self.relay.run)
            if self.handlers:
                loops.append(self.group.run)
            self._tasks = [asyncio.create_task(self._watched(loop)) for loop in loops]

    async def stop(self) -> None:
        """Lets the batches in hand finish, then ends. They have half of `stop_seconds`; the requests before them had the other."""
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.stop_seconds / 2):
                await asyncio.gather(self.group.stop(), *([self.relay.stop()] if self.relay is not None else []))
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.settings.stop_seconds / 2)
        await telemetry.flush()

    def alive(self) -> str:
        """ "ok", or which loop has ended or stands still: whoever looks after the process may start it anew."""
        if self.failed.is_set():
            return "a loop has ended"
        return self.group.health() if self.works and self.handlers else "ok"

    async def ready(self) -> dict[str, str]:
        """Name → "ok" or what is the matter. A service is ready when all are ok. An API serves without Kafka."""
        checks = {"database": "ok"}
        if self.waits_for:
            checks["start"] = f"waiting for {self.waits_for}"
        try:
            async with self.database.read() as tx:
                await tx.execute(select(1))
        except Exception as error:  # readiness reports whatever is wrong
            checks["database"] = type(error).__name__
        if self.works:
            ended = sum(task.done() for task in self._tasks)
            checks["worker"] = (
                f"{ended} of its loops ended" if ended else self.group.health() if self.handlers else "ok"
            )
            if self.settings.kafka_bootstrap_servers:
                checks["kafka"] = await self.bus.health()
            checks["jobs"] = "failing: " + ", ".join(sorted(self._job_failed)) if self._job_failed else "ok"
        return checks

    async def standing(self) -> Standing:
        """Facts recorded, and whether they are all published and every heard event is handled."""
        recorded = await self._recorded()
        settled = self.relay is None or await self.relay.all_out()
        settled = settled and (not self.handlers or await self.group.settled())
        # What was heard between the two counts may have recorded something that nobody has published yet.
        return Standing(recorded, settled and await self._recorded() == recorded)

    async def run_jobs(self) -> None:
        """Runs every job once, now. Raises JobsFailed naming those that failed."""
        for job in self.jobs:
            await self._run(job)
        if self._job_failed:
            raise JobsFailed(f"{self.name}: failing jobs: {', '.join(sorted(self._job_failed))}")

    async def _recorded(self) -> int:
        async with self.database.read() as tx:
            newest: int | None = (await tx.execute(select(func.max(outbox.c.id)))).scalar()
            return newest or 0

    async def _run(self, job: Job) -> None:
        async with self._job_locks[job.name]:
            try:
                with self.spans.job(f"job {job.name}"):
                    await job.run(self)
                self._job_failed.discard(job.name)
                JOB_SUCCESS.labels(self.name, job.name).set_to_current_time()
            except Exception as error:  # a job is tried again; meanwhile readiness names it
                self._job_failed.add(job.name)
                JOB_FAILURES.labels(self.name, job.name).inc()
                self.log.error("job_failed", job=job.name, error=type(error).__name__, where=place_of(error))

    async def _repeat(self, job: Job) -> None:
        """Runs a job now, then every `every_s` seconds (AGAIN_S after a failure), and at once when a movable clock has moved."""
        loop = asyncio.get_running_loop()
        movable = isinstance(self.clock, MovableClock)
        step = min(MOVED_CLOCK_SECONDS if movable else job.every_s, job.every_s)
        JOB_SUCCESS.labels(
            self.name, job.name
        ).set_to_current_time()  # else a job that never ends well would be no alarm
        while True:
            began, now = loop.time(), self.clock.now()
            await self._run(job)
            due = began + (min(job.every_s, AGAIN_S) if job.name in self._job_failed else job.every_s)
            while loop.time() < due and not (movable and self.clock.now() != now):  # noqa: ASYNC110 - the clock is a file
                await asyncio.sleep(step)

    async def _watched(self, loop: Callable[[], Awaitable[None]]) -> None:
        """However a loop ends without being asked to, also by a cancellation that came out of a library, is a failure."""
        why: dict[str, str] = {}
        try:
            await loop()
        except BaseException as error:
            why = {"error": type(error).__name__, "where": place_of(error)}
            raise
        finally:
            if not self._stopping:
                self.log.critical("loop_ended", **why)
                self.failed.set()


async def _renew(tables: MetaData, service: Service) -> None:
    await rotation.renew(service.database, service.vault, tables)


async def _forget_old(service: Service) -> None:
    """Retention (保留期限) of the kit's own tables."""
    more = True
    while more:
        async with service.work() as work:
            await in_line(work.tx, "retention")
            more = await retention.forget_old(work.tx, now=work.now)
            if service.tables is not None:
                await retention.forget_personal(work.tx, service.tables, now=work.now)
    await service.database.empty_log()
