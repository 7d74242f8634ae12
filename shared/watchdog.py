"""A thread that ends the process when a loop makes no progress, so that the supervisor starts it anew."""

import os
import threading
from collections.abc import Callable, Mapping

import structlog

EXIT_STUCK = 70
"""The exit code (EX_SOFTWARE of sysexits.h): not asked to stop, not a failure that could be named."""

LOOKS = 20
"""So many looks at each loop within the time it may stand still."""

log = structlog.get_logger()


class Watchdog:
    """Watches counters that go up while their loops live. One that stands still for `after_s` seconds ends the process.

    It needs no event loop: a handler that never returns, or never gives way, cannot hold it up. Only time in which this thread
    ran counts, so a machine that slept or a process that was paused is not taken for stuck.
    """

    def __init__(self, progress: Mapping[str, Callable[[], int]], *, after_s: float) -> None:
        self._progress, self._after_s = progress, after_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Before a graceful stop that has a limit of its own."""
        self._stopping.set()

    def _watch(self) -> None:
        step = self._after_s / LOOKS
        seen = {name: count() for name, count in self._progress.items()}
        still = dict.fromkeys(seen, 0)
        while not self._stopping.wait(step):
            for name, count in self._progress.items():
                now = count()
                still[name] = still[name] + 1 if now == seen[name] else 0
                seen[name] = now
                if still[name] >= LOOKS:
                    log.critical("stuck", loop=name, seconds=self._after_s)
                    os._exit(EXIT_STUCK)
