"""The killer: carries out a plan on a running cluster, in time with the acts of the month, and keeps count of who died where."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from random import Random

from tests.chaos.plan import BACKEND, KAFKA, OF_POINT, POSTGRES, Named, Order
from tests.integration.cluster import Cluster
from tests.servers import family, send_signal

LOOK_S = 0.02
ANYWHERE = "anywhere"


class Killer:
    """`about_to` is told each act before it is done. `missed`: orders that never found their moment.

    Make it before the cluster starts: every process learns where it is told to end.
    """

    def __init__(self, cluster: Cluster, orders: Sequence[Order], seed: int) -> None:
        self.missed: list[Order] = []
        self._cluster, self._rng = cluster, Random(f"killer/{seed}")
        self._folder = cluster.folder / "faults"
        self._to_come = list(orders)
        self._armed: dict[tuple[str, str], list[Order]] = {}
        self._due: list[tuple[float, Order]] = []
        self._at_point: Counter[tuple[str, str]] = Counter()
        self._servers: Counter[str] = Counter()
        self._lock, self._over = threading.Lock(), threading.Event()
        self._restarts = ThreadPoolExecutor(1)
        self._restarting: list[Future[None]] = []
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)
        for process in cluster.processes.values():
            process.extra["DAOHU_FAULTS"] = str(self._folder / process.part.name)
            (self._folder / process.part.name).mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        self._thread.start()

    def about_to(self, act: int) -> None:
        """Gives the orders of an act, and of those before it."""
        with self._lock:
            while self._to_come and self._to_come[0].act <= act:
                order = self._to_come.pop(0)
                if order.point:
                    waiting = self._armed.setdefault((order.part, order.point), [])
                    waiting.append(order)
                    if len(waiting) == 1:
                        self._file(order.part, order.point).touch()
                else:
                    self._due.append((time.monotonic() + order.after_s, order))

    def stop(self) -> None:
        """Kills no more. Returns when the servers are there again. Raises what starting one of them raised."""
        self._over.set()
        self._thread.join()
        for (part, point), orders in self._armed.items():
            self._look_after(part, point, orders)
            self._file(part, point).unlink(missing_ok=True)
            self.missed += orders
        self.missed += [order for _, order in self._due] + self._to_come
        self._restarts.shutdown()
        for restart in self._restarting:
            restart.result()

    def by_place(self) -> dict[str, int]:
        """part → point or "anywhere" → times, as "funds-api at funds.before_commit". Deaths of processes are those that were seen."""
        places = Counter({f"{part} at {point}": times for (part, point), times in self._at_point.items()})
        places.update({f"{server} {ANYWHERE}": times for server, times in self._servers.items()})
        for part in {process.part.name for process in self._cluster.processes.values()}:
            died = sum(process.exits.count(-signal.SIGKILL) for process in self._cluster.of(part))
            at_points = sum(times for (whose, _), times in self._at_point.items() if whose == part)
            places[f"{part} {ANYWHERE}"] = died - at_points
        return {place: times for place, times in sorted(places.items()) if times}

    def by_name(self) -> dict[Named, int]:
        """Kills at each of the named points."""
        names: Counter[Named] = Counter()
        for where, times in self._at_point.items():
            names[OF_POINT[where]] += times
        return {named: names[named] for named in Named}

    def _run(self) -> None:
        while not self._over.wait(LOOK_S):
            with self._lock:
                for (part, point), orders in self._armed.items():
                    self._look_after(part, point, orders)
                now = time.monotonic()
                self._due = [(at, order) for at, order in self._due if at > now or not self._kill(order.part)]

    def _look_after(self, part: str, point: str, orders: list[Order]) -> None:
        """Whoever died at a point took its file away; the next order to die there gets a new one."""
        if orders and not self._file(part, point).exists():
            self._at_point[part, point] += 1
            orders.pop(0)
            if orders:
                self._file(part, point).touch()

    def _kill(self, part: str) -> bool:
        """Whether there was somebody to kill."""
        if part in (POSTGRES, BACKEND, KAFKA):
            return self._kill_server(part)
        running = [process for process in self._cluster.of(part) if process.runs]
        if running:
            self._rng.choice(running).signal(signal.SIGKILL)
        return bool(running)

    def _kill_server(self, server: str) -> bool:
        if any(not restart.done() for restart in self._restarting):
            return False
        if server == BACKEND:
            backends = [pid for pid in family(self._cluster.postgres.pid)[1:] if _serves_us(pid)]
            if not backends:
                return False
            send_signal(signal.SIGKILL, self._rng.choice(backends))
        elif server == POSTGRES:
            self._cluster.postgres.kill()
            self._restarting.append(self._restarts.submit(self._cluster.postgres.start))
        else:
            self._cluster.kafka.kill()
            self._restarting.append(self._restarts.submit(self._cluster.kafka.start))
        self._servers[server] += 1
        return True

    def _file(self, part: str, point: str) -> Path:
        return self._folder / part / point


def _serves_us(backend: int) -> bool:
    """Whether a child of PostgreSQL has a connection of ours. Without its startup process the server itself would end."""
    try:
        return b"postgres: daohu_" in Path(f"/proc/{backend}/cmdline").read_bytes()
    except FileNotFoundError:
        return False
