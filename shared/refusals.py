"""Refusals on record (拒绝记录): all are counted by code; those for want of a right are written down with who, what and why."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from starlette.requests import Request

from shared import telemetry
from shared.errors import Refusal
from shared.metrics import REFUSALS
from shared.observed import METHODS, route_of
from shared.separation import SamePerson

MINUTE_S = 60.0
LINES_EACH = 20
"""Lines a minute about one caller; all without a token that counts are one caller."""
LINES_ALL = 300
"""Lines a minute of one service in one process: at 300 bytes a line a flood writes 130 MB a day, not more."""

RIGHTS = (401, 403)
"""What a refusal for want of a token or of a right answers with."""


class Refusals:
    """The record of one service in one process. It never sees a query, a body, an id, or more of the caller than his account."""

    def __init__(self, service: str, log: Any, *, tick: Callable[[], float] = time.monotonic) -> None:
        self.service, self._log, self._tick = service, log, tick
        self._until, self._lines, self._unwritten = tick() + MINUTE_S, Counter[str](), 0

    def note(self, request: Request, refusal: Refusal) -> None:
        """Counts a refusal; writes it down if a right was wanting and the minute has room left."""
        REFUSALS.labels(self.service, refusal.code).inc()
        if refusal.status not in RIGHTS and not isinstance(refusal, SamePerson):
            return
        caller = getattr(request.state, "caller", None)
        who = caller.subject if caller else ""
        if not self._room_for(who):
            self._unwritten += 1
            return
        method = request.method if request.method in METHODS else "other"
        self._log.warning(
            "refused",
            who=who or None,
            client=caller.client if caller else None,
            action=f"{method} {route_of(request.scope)}",
            code=refusal.code,
            traceparent=telemetry.at_work(request.headers.get("traceparent")),
        )

    def _room_for(self, who: str) -> bool:
        if self._tick() >= self._until:
            if self._unwritten:
                self._log.warning("refusals_unwritten", count=self._unwritten)
            self._until, self._lines, self._unwritten = self._tick() + MINUTE_S, Counter(), 0
        if self._lines[who] >= LINES_EACH or self._lines.total() >= LINES_ALL:
            return False
        self._lines[who] += 1
        return True
