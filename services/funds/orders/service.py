"""One money act of one request. The rooms decide what to post; here is how it is posted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.funds.ledger import store as ledger_store
from services.funds.ledger.domain import Command, Posted, Posting, book_of
from services.funds.ledger.writer import Writer, no_facts
from shared import telemetry
from shared.errors import Refusal
from shared.metrics import LEDGER_REFUSED
from shared.outbox import Fact
from shared.work import Glance, Work


@dataclass(frozen=True, slots=True)
class Money:
    """What a money request carries: the writer, and the key that makes a repeated request the same act."""

    ledger: Writer
    ref: str
    key: str
    request_hash: bytes

    async def first(self, work: Work, division: str) -> Posted | None:
        """What this key was answered first, or None. Asked before any gate, so that a repeated request is not judged anew.

        Raises IdempotencyKeyReused when the key stands for another request.
        """
        return await ledger_store.find_posted(work.tx, book_of(division), self.ref, self.request_hash)

    def command(
        self,
        work: Work | Glance,
        *,
        kind: str,
        division: str,
        postings: Sequence[Posting],
        memo: str,
        once: str | None = None,
        approvals: Sequence[Mapping[str, Any]] = (),
        notice: Mapping[str, Any] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Command:
        """The entry this request asks for, dated today."""
        return Command(
            book=book_of(division),
            kind=kind,
            ref=self.ref,
            actor=work.caller.subject,
            effective_on=work.today,
            recorded_at=work.now,
            division=division,
            postings=tuple(postings),
            memo=memo,
            idempotency_key=self.key,
            request_hash=self.request_hash,
            once=once,
            approvals=tuple(approvals),
            notice=notice,
            details=details or {},
        )

    async def post(
        self, work: Work | Glance, command: Command, facts: Callable[[int], Sequence[Fact]] = no_facts
    ) -> Posted:
        """Posts and waits for the commit; nothing can be read through `work.tx` after it. Raises what `Writer.post` raises."""
        if isinstance(work, Work):
            await work.tx.close()  # a request that waits for the writer keeps no connection from those who read
        try:
            with telemetry.spans("funds").span("post to the ledger", attributes={"daohu.kind": command.kind}):
                return await self.ledger.post(command, facts)
        except Refusal as refusal:
            LEDGER_REFUSED.labels("funds", refusal.code).inc()
            raise

    async def refuse(self, work: Work, command: Command, refusal: Refusal) -> Refusal:
        """Puts on record that a gate refused the command, and gives the refusal back to be raised."""
        await work.tx.close()
        await self.ledger.refuse(command, refusal)
        LEDGER_REFUSED.labels("funds", refusal.code).inc()
        return refusal
