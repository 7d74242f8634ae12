"""The console gateway (模拟短信网关): what it accepts arrives at once on a simulated phone, and it remembers every message id.

It stands for a gateway outside, so it writes in transactions of its own: a sender that dies right after the call has sent.
"""

from collections.abc import Sequence

from services.notify.contacts.service import PHONE
from services.notify.outbound.domain import Receipt
from services.notify.outbound.gateway import Accepted, Message, Outcome
from services.notify.outbound.text import parts
from services.notify.phones import store
from shared.pii import mask_phone
from shared.service import Service


class ConsoleGateway:
    """Reaches nobody's phone, so it takes any number."""

    real = False

    def __init__(self, service: Service) -> None:
        self._database, self._vault, self._clock = service.database, service.vault, service.clock

    async def submit(self, message: Message) -> Outcome:
        async with self._database.write() as tx:
            await store.add(
                tx,
                message_id=message.id,
                phone_index=self._vault.blind(message.phone, kind=PHONE),
                phone_masked=mask_phone(message.phone),
                text=message.text,
                parts=len(parts(message.text)),
                at=self._clock.now(),
            )
        return Accepted()

    async def evidence(self, message_id: str) -> Sequence[Receipt]:
        async with self._database.read() as tx:
            return (Receipt.ACCEPTED, Receipt.DELIVERED) if await store.has(tx, message_id) else ()

    async def silence_is_proof(self) -> bool:
        """It writes before it answers and forgets nothing."""
        return True
