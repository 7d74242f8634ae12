"""The sender (发送): several may run on one database, any may be killed at any point, and each person gets each prompt once.

`sending` and the attempt are committed before the gateway is called; no transaction stays open over the call. Whose lease ran
out is never simply sent again: first the gateway is asked for evidence. Source: handbook sms.md, reference/sms/once/once.py.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from opentelemetry.trace import SpanKind
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.outbound import service as prompts
from services.notify.outbound import store
from services.notify.outbound.gateway import Gateway, Message, Outcome, Unknown, submit_guarded
from services.notify.outbound.store import Prompt
from services.notify.payments import store as payments
from services.notify.weeks.domain import Campaign, week_after
from shared import faults
from shared.metrics import SMS_CALLS
from shared.service import Service
from shared.telemetry import MAX_LINKS

RECEIPTS_A_ROUND = 200
"""Accepted messages whose receipts are asked for in one go."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things may take. A call starts only while the lease outlasts it; evidence is looked for `grace` after the lease."""

    batch: int = 16
    call: timedelta = timedelta(seconds=2)
    lease: timedelta = timedelta(seconds=5)
    grace: timedelta = timedelta(seconds=1)
    first_retry: timedelta = timedelta(seconds=1)
    look_again: timedelta = timedelta(milliseconds=100)


class Sender:
    """Sends what is planned through one gateway. The database's clock measures leases, the same for all senders."""

    def __init__(self, service: Service, gateway: Gateway, *, pace: Pace | None = None) -> None:
        self.service, self.gateway, self.pace = service, gateway, pace or Pace()

    async def run(self) -> None:
        """Sends all that may be sent now, and waits a lease's time for what other senders have in hand or left behind."""
        loop = asyncio.get_running_loop()
        patience = (self.pace.lease + 2 * self.pace.grace).total_seconds()
        moved = loop.time()
        while loop.time() - moved < patience:
            await self._look_for_evidence()
            if await self._send_some():
                moved = loop.time()
            elif await self._anybody_sending():
                await asyncio.sleep(self.pace.look_again.total_seconds())
            else:
                break
        await self._collect_receipts()

    async def _send_some(self) -> bool:
        """One batch: claimed in one transaction, called without any, written down in one. Whether there was something to send."""
        async with self.service.work() as work:
            claimed = await prompts.claim(work, lease=self.pace.lease, limit=self.pace.batch)
        outcomes = [(prompt, await self._call(prompt, message)) for prompt, message in claimed]
        if not claimed:
            return False
        async with self.service.work() as work:
            for prompt, outcome in outcomes:
                if outcome is None:
                    await prompts.release(work, prompt)
                else:
                    await prompts.settle(work, prompt, outcome, retry_in=self.pace.first_retry * (1 << prompt.attempt))
        return True

    async def _call(self, prompt: Prompt, message: Message) -> Outcome | None:
        """Calls the gateway, unless the lease could end before the call does: None then, and nothing was sent.

        The call's time runs from before the lease is looked at: however long the answer takes, the lease outlasts the call.
        """
        loop = asyncio.get_running_loop()
        faults.point("notify", "gateway_before_call")
        given_up = loop.time() + self.pace.call.total_seconds()
        async with self.service.database.read() as tx:
            if not await store.is_mine(tx, prompt, until=await store.lease_now(tx) + self.pace.call):
                return None
            told = await self._told(tx, prompt)
        if loop.time() >= given_up:
            return None
        spans = self.service.spans
        try:
            with (
                spans.span("submit SMS", kind=SpanKind.CLIENT, links=told),
                spans.together("tell the leader by SMS", told, kind=SpanKind.CLIENT),
            ):
                async with asyncio.timeout_at(given_up):
                    outcome = await submit_guarded(self.gateway, message)
        except Exception as error:  # whatever happened out there, the message may have gone out
            self.service.log.warning("gateway_failed", error=type(error).__name__)
            outcome = Unknown()
        SMS_CALLS.labels(self.service.name, type(outcome).__name__.lower()).inc()
        faults.point("notify", "gateway_after_call")
        return outcome

    async def _told(self, tx: AsyncConnection, prompt: Prompt) -> list[str]:
        """The traces of the payments that the message tells of: they end at the leader's phone."""
        if not self.service.spans.on or prompt.campaign is not Campaign.WEEKLY:
            return []
        return await payments.traces_of_week(tx, prompt.county, week_after(prompt.week, -1), limit=MAX_LINKS)

    async def _look_for_evidence(self) -> None:
        """Prompts whose sender did not come back: the gateway is asked, outside of any transaction, then the answer written down."""
        async with self.service.database.read() as tx:
            before = await store.lease_now(tx) - self.pace.grace
            stranded = await store.stranded(tx, before=before, limit=self.pace.batch)
        for prompt in stranded:
            try:
                # In this order: what arrives between the two questions is then still found, or the gateway is not idle.
                proof = await self.gateway.silence_is_proof()
                evidence = await self.gateway.evidence(prompt.message_id)
            except OSError as error:
                self.service.log.warning("no_evidence_now", error=type(error).__name__)
                return
            async with self.service.work() as work:
                await prompts.settle_by_evidence(work, prompt, evidence, silence_is_proof=proof)

    async def _collect_receipts(self) -> None:
        """Asks for the receipts of what was accepted. Gateways that bring theirs have nothing more to say here."""
        after = ("", "", "")
        while True:
            async with self.service.database.read() as tx:
                waiting = await store.accepted(tx, after=after, limit=RECEIPTS_A_ROUND)
            if not waiting:
                return
            try:
                found = [(prompt, await self.gateway.evidence(prompt.message_id)) for prompt in waiting]
            except OSError as error:
                self.service.log.warning("no_receipts_now", error=type(error).__name__)
                return
            async with self.service.work() as work:
                for prompt, evidence in found:
                    await prompts.apply_receipts(work, prompt, evidence)
            after = (waiting[-1].week, waiting[-1].campaign, waiting[-1].cadre_no)

    async def _anybody_sending(self) -> bool:
        async with self.service.database.read() as tx:
            return await store.count_sending(tx) > 0
