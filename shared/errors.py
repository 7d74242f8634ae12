"""Refusals know their status, their code and their remedy. Domains import this: no framework here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with one field: where, which rule (a stable code), and what to do about it."""

    field: str
    code: str
    message: str


class Refusal(Exception):
    """A business act that the rules do not allow now: 409. `detail` says what to do; `facts` travel in the answer."""

    status = 409
    code = "refused"
    retryable = False
    retry_after = 1
    """Seconds until it is worth repeating, where it is."""

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = (), **facts: Any) -> None:
        super().__init__(detail)
        self.detail, self.errors, self.facts = detail, tuple(errors), facts


class NotFound(Refusal):
    """It does not exist in the caller's area; the caller cannot tell which of the two."""

    status = 404
    code = "not_found"


class Unauthenticated(Refusal):
    status = 401
    code = "unauthenticated"


class Forbidden(Refusal):
    status = 403
    code = "forbidden"


class Malformed(Refusal):
    """Input that cannot be read. A well-formed act that is not allowed is a Refusal."""

    status = 422
    code = "malformed"


class TooLarge(Refusal):
    status = 413
    code = "too_large"


class NotHttp(Malformed):
    status = 400
    code = "not_http"


class AddressTooLong(TooLarge):
    status = 414
    code = "address_too_long"


class HeadTooLarge(TooLarge):
    status = 431
    code = "head_too_large"


class Conflict(Refusal):
    """Two wrote at the same moment and the rules allow one of them. Repeated, the request is judged by what stands then."""

    code = "conflict"
    retryable = True


class Stale(Refusal):
    """`If-Match` names a version that is no longer the current one."""

    status = 412
    code = "stale"


class PreconditionRequired(Refusal):
    status = 428
    code = "precondition_required"


class Gone(Refusal):
    status = 410
    code = "gone"


class TooSlow(Refusal):
    """A request whose bytes did not come on."""

    status = 408
    code = "too_slow"
    retryable = True


class TooMany(Refusal):
    """A caller's share is used up for now; `wait` is the seconds until it is not."""

    status = 429
    code = "too_many_requests"
    retryable = True

    def __init__(self, detail: str, wait: float) -> None:
        super().__init__(detail)
        self.retry_after = math.ceil(wait)


class Unavailable(Refusal):
    """Not now; the same request may succeed later."""

    status = 503
    code = "unavailable"
    retryable = True


class StorageFull(Unavailable):
    """The database has no room left; reading goes on. It passes when somebody has made room."""

    code = "storage_full"

    def __init__(self) -> None:
        super().__init__("The storage is full. Repeat later with the same Idempotency-Key: nothing is done twice.")
