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
    """The `nth` passage of a fault point (shared/faults.py) since the process started."""

    service: str
    point: str
    nth: int = 1

    @property
    def place(self) -> str:
        return f"{self.service}.{self.point}"

    def env(self, flag: Path) -> dict[str, str]:
        return {"DAOHU_FAULT": f"{self.place}:{self.nth}", "DAOHU_FAULT_FILE": str(flag)}


class Killer:
    """Keeps the house on `home` running until `stop`; a life for each moment, and one undisturbed life after them.

    A life ends when the process has reached its moment and was killed there. `killed` are the moments so far.
    """

    def __init__(self, home: Path, starts_at: datetime, moments: Sequence[Moment]) -> None:
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.killed: list[Moment] = []
        self.fell = ""
        self._starts_at, self._moments = starts_at, tuple(moments)
        self._flag = home.with_name(f"{home.name}-fault")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="killer")

    @property
    def pending(self) -> tuple[Moment, ...]:
        """Moments that were not reached."""
        return self._moments[len(self.killed) :]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Lets the process end as a person would, and waits for it."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        for moment in self._moments:
            if not self._life(moment):
                return
        self._life(None)

    def _life(self, moment: Moment | None) -> bool:
        """Whether the process reached its moment and was killed there."""
        self._flag.unlink(missing_ok=True)
        env = moment.env(self._flag) if moment else {}
        server = Server(self.home, self._starts_at, port=self.port, env=env)
        server.launch()
        while not self._flag.exists():
            if not server.running():
                self.fell = f"it ended by itself while waiting for {moment}:\n{server.last_lines()}"
                server.stop()
                return False
            if self._stop.wait(LOOK_S):
                server.stop()
                return False
        assert moment is not None
        server.kill()
        self.killed.append(moment)
        return True
