"""A unit of work: one transaction, who does it, when, under which policies, and the facts it records."""

import asyncio
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from shared import outbox, telemetry
from shared.clock import Clock, business_date
from shared.db import Database
from shared.events.base import Envelope, Event
from shared.ids import new_id
from shared.pii import Vault
from shared.policy import PolicyBook
from shared.roles import Caller
from shared.scope import EVERYWHERE, Area

SYSTEM = Caller(subject="system", client="system", roles=frozenset(), divisions=(), area=EVERYWHERE)
"""The caller of jobs and handlers: the system itself."""

NOBODY = Caller(subject="anybody", client="", roles=frozenset(), divisions=(), area=Area(()))
"""The caller of a public route: no right and no area."""


FLUSHED = 500
"""Facts in one statement; others get the loop in between."""


class _Act:
    """One act of a caller: when, where he may, and the facts that he makes true."""

    service: str
    caller: Caller
    clock: Clock
    causation_id: str | None
    traceparent: str | None
    _now: datetime | None

    @property
    def area(self) -> Area:
        return self.caller.area

    @property
    def trace(self) -> str | None:
        """The traceparent under which this is done: the request's or the event's, else that of the span at work."""
        return self.traceparent or telemetry.current()

    @property
    def now(self) -> datetime:
        """The instant of this unit of work: the same for everything it writes, however long it takes."""
        if self._now is None:
            self._now = self.clock.now()
        return self._now

    @property
    def today(self) -> date:
        """The business date (业务日期): today in the county's zone."""
        return business_date(self.now)

    def fact(self, event: Event, *, division: str, version: int = 1) -> outbox.Fact:
        """The event in its envelope: who did it, when, where (12-digit division), at which version of its aggregate."""
        return outbox.Fact(
            event,
            Envelope(
                id=new_id(),
                type=event.type_name,
                source=f"/daohu/{self.service}",
                subject=event.key,
                time=self.now,
                division=division,
                actor=self.caller.subject,
                aggregate_version=version,
                causation_id=self.causation_id,
                traceparent=self.trace,
            ),
        )


@dataclass
class Work(_Act):
    """What a use case works with. Everything written through `tx` and every recorded fact is committed together, or not at all."""

    tx: AsyncConnection
    service: str
    caller: Caller
    clock: Clock
    policies: PolicyBook
    vault: Vault
    causation_id: str | None = None
    traceparent: str | None = None
    facts: list[outbox.Fact] = field(default_factory=list)
    _now: datetime | None = field(default=None, init=False)

    def record(self, event: Event, *, division: str, version: int = 1) -> None:
        """Records what happened. It is written to the outbox just before the commit, after all rows it speaks of."""
        self.facts.append(self.fact(event, division=division, version=version))

    async def flush(self) -> None:
        """Writes the recorded facts to the outbox. The kit calls it; use cases do not."""
        if self.facts:
            facts, self.facts = self.facts, []
            for start in range(0, len(facts), FLUSHED):
                await outbox.append(self.tx, facts[start : start + FLUSHED])
                await asyncio.sleep(0)


@dataclass
class Glance(_Act):
    """What a route has that reads by look-ups alone (`Database.look_up`): no transaction, so it writes nothing itself."""

    database: Database
    service: str
    caller: Caller
    clock: Clock
    traceparent: str | None = None
    causation_id: str | None = field(default=None, init=False)
    _now: datetime | None = field(default=None, init=False)
