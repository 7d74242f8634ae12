"""What a gateway (短信网关) is to us, and the guard in front of every real one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.notify.outbound.domain import Reason, Receipt
from shared.pii import is_test_phone


@dataclass(frozen=True, slots=True)
class Message:
    """One SMS of one attempt. `id` is ours, made of prompt and attempt, and the gateway repeats it in its receipts."""

    id: str
    phone: str
    text: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The gateway took it over. It may still fail to arrive."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """It certainly did not go out. `permanent`: trying again cannot help."""

    permanent: bool
    reason: Reason = Reason.REJECTED


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may or may not have gone out (a time-out, a cut line): look for evidence, never resend."""


Outcome = Accepted | Rejected | Unknown


class Gateway(Protocol):
    """`real`: behind it are people's phones."""

    real: bool

    async def submit(self, message: Message) -> Outcome:
        """Hands one message over. It answers; it does not raise for what a gateway may do."""
        ...

    async def evidence(self, message_id: str) -> Sequence[Receipt]:
        """What the gateway knows of a message, in any order. Raises OSError when it cannot be asked now."""
        ...

    async def silence_is_proof(self) -> bool:
        """Whether "no trace of it" means that it never went out: the gateway is reachable, idle, and forgets nothing."""
        ...


async def submit_guarded(gateway: Gateway, message: Message) -> Outcome:
    """Numbers of the test block are refused on every real route, before the gateway hears of them."""
    if gateway.real and is_test_phone(message.phone):
        return Rejected(permanent=True, reason=Reason.TEST_PHONE)
    return await gateway.submit(message)
