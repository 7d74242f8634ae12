"""A supervisor with a grudge: runs `daohu up`, kills it with -9 at each of a list of moments, and starts it again."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from demo.server import Server, free_port

LOOK_S = 0.01
"""How often the supervisor looks whether the process stands at its moment."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The `nth` passage of a fault point (shared/faults.py) after the driver set about an act whose name begins with `act`."""

    act: str
    service: str
    point: str
    nth: int = 1

    @property
    def place(self) -> str:
        return f"{self.service}.{self.point}"


class Killer:
    """Keeps the house on `home` running until `stop`; a life for each moment, and one undisturbed life after them.

    A life ends when the process has reached its moment and was killed there. `killed` are the moments so far; `missed` those
    that the process had not reached when an act of a later one began: it was killed wherever it stood.
    `fell`: why a process ended by itself.
    """

    def __init__(self, home: Path, starts_at: datetime, moments: Sequence[Moment]) -> None:
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.killed: list[Moment] = []
        self.missed: list[Moment] = []
        self.fell = ""
        self._starts_at, self._moments = starts_at, tuple(moments)
        self._reached = home.with_name("fault-reached")
        self._over = 0  # moments before this one have had their time
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="killer")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Lets the process end as a person would, and waits for it."""
        self._stop.set()
        self._thread.join()

    def about_to(self, act: str) -> None:
        """The driver sets about an act: the passages of its moments count from now on."""
        theirs = [place for place, moment in enumerate(self._moments) if act.startswith(moment.act)]
        for place in theirs:
            self._counts(place).touch()
        self._over = max([self._over, *theirs[:1]])

    def _run(self) -> None:
        for place in range(len(self._moments)):
            if not self._life(place):
                return
        self._life(None)

    def _life(self, place: int | None) -> bool:
        """Whether there is to be another life after this one."""
        moment = None if place is None else self._moments[place]
        if place is not None and moment is not None and place < self._over:
            self.missed.append(moment)
            return True
        self._reached.unlink(missing_ok=True)
        server = Server(self.home, self._starts_at, port=self.port, env=self._env(place))
        server.launch()
        while not self._reached.exists():
            if not server.running():
                self.fell = f"it ended by itself while waiting for {moment}:\n{server.last_lines()}"
            if self.fell or self._stop.wait(LOOK_S):
                server.stop()
                return False
            if place is not None and moment is not None and place < self._over:
                server.kill()
                self.missed.append(moment)
                return True
        assert moment is not None
        server.kill()
        self.killed.append(moment)
        return True

    def _env(self, place: int | None) -> dict[str, str]:
        if place is None:
            return {}
        moment = self._moments[place]
        return {
            "DAOHU_FAULT": f"{moment.place}:{moment.nth}",
            "DAOHU_FAULT_FILE": str(self._reached),
            "DAOHU_FAULT_FROM": str(self._counts(place)),
        }

    def _counts(self, place: int) -> Path:
        return self.home.with_name(f"fault-counts-{place}")
