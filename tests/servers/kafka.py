"""Apache Kafka for tests: one broker or three of the version in deploy/kafka/pom.xml, from its jars, without a container."""

import asyncio
import fcntl
import hashlib
import re
import shutil
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests.servers import NotHere, free_port, maven, send_signal, until

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "kafka"
CACHE = ROOT / ".cache" / "kafka"
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"

START_S = 90.0
"""A killed broker checks its log first: 13 s on two cores."""

STOP_S, STOP_ALL_S = 30.0, 3.0
ASK_S = 5.0

ONE = {
    "offsets.topic.replication.factor": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
}
THREE = {
    "offsets.topic.replication.factor": 3,
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
    "broker.session.timeout.ms": 4000,
    "broker.heartbeat.interval.ms": 1000,
}


class Kafka:
    """A cluster of our own in an empty folder; each broker is also a controller, as in docker-compose.yml.

    Brokers are numbered from 1. Raises NotHere.
    """

    def __init__(self, folder: Path, *, brokers: int = 1) -> None:
        libs = server_jars()
        ports = {n: (free_port(), free_port()) for n in range(1, brokers + 1)}
        voters = ",".join(f"{n}@127.0.0.1:{control}" for n, (_, control) in ports.items())
        self.bootstrap_servers = ",".join(f"127.0.0.1:{port}" for port, _ in ports.values())
        memory = ("-Xms256m", "-Xmx512m") if brokers == 1 else ("-Xms128m", "-Xmx384m")
        self._brokers = {n: _Broker(folder / f"{n}", port, libs, memory) for n, (port, _) in ports.items()}
        for n, (port, control) in ports.items():
            self._brokers[n].format({
                "process.roles": "broker,controller",
                "node.id": n,
                "controller.quorum.voters": voters,
                "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}",
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
                "controller.listener.names": "CONTROLLER",
                "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
                "auto.create.topics.enable": "false",
                "group.initial.rebalance.delay.ms": 0,
                "offsets.topic.num.partitions": 3,
                "transaction.state.log.num.partitions": 3,
                **(ONE if brokers == 1 else THREE),
            })  # fmt: skip
        self.start()

    def start(self, broker: int = 0) -> None:
        """Starts one broker, or all that are not running (0). Returns when every broker that runs answers."""
        for each in [self._brokers[broker]] if broker else self._brokers.values():
            each.start()
        self.wait()

    def wait(self) -> None:
        """Returns when every broker that runs lists topics to an admin client and sees all the others."""
        running = [broker for broker in self._brokers.values() if broker.runs]
        for broker in running:
            until(partial(broker.sees, len(running)), START_S, f"Kafka (its log: {broker.log})")

    def kill(self, broker: int = 1) -> None:
        """kill -9. `start` brings it back: 13 s on two cores, since its log is checked first."""
        self._brokers[broker].end(signal.SIGKILL)

    def stop(self, broker: int = 0) -> None:
        """A clean stop of one broker, or of all (0); one that does not go in time is killed."""
        stopping = [self._brokers[broker]] if broker else list(self._brokers.values())
        for each in stopping:
            each.signal(signal.SIGTERM)
        for each in stopping:
            # The last of three waits for a controller that is gone.
            each.end(signal.SIGTERM, STOP_S if len(stopping) == 1 else STOP_ALL_S)

    def pause(self, broker: int = 1) -> None:
        """It stands still, connections stay open: a machine that does not answer."""
        self._brokers[broker].signal(signal.SIGSTOP)

    def resume(self, broker: int = 1) -> None:
        self._brokers[broker].signal(signal.SIGCONT)

    def pid(self, broker: int = 1) -> int:
        return self._brokers[broker].pid


class _Broker:
    def __init__(self, folder: Path, port: int, libs: Path, memory: tuple[str, str]) -> None:
        self.address, self.log = f"127.0.0.1:{port}", folder / "kafka.log"
        self._folder, self._config = folder, folder / "server.properties"
        folder.mkdir(parents=True)
        logging = f"-Dlog4j2.configurationFile={DEPLOY / 'log4j2.yaml'}"
        jvm = ["java", *memory, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", logging]
        self._java = [*jvm, "-cp", f"{libs}/*"]
        self._process: subprocess.Popen[bytes] | None = None

    def format(self, properties: dict[str, object]) -> None:
        lines = {**properties, "log.dirs": self._folder / "data"}
        self._config.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        self._tool("format", "-t", CLUSTER_ID, "-c", str(self._config))

    def start(self) -> None:
        if not self.runs:
            with self.log.open("ab") as log:
                line = [*self._java, "kafka.Kafka", str(self._config)]
                # In a session of its own, so that Ctrl-C of a test run stops it through `stop` alone.
                self._process = subprocess.Popen(
                    line, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
                )

    def sees(self, brokers: int) -> bool:
        return brokers_of(self.address) >= brokers

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def end(self, number: signal.Signals, within_s: float = STOP_S) -> None:
        if self._process is None:
            return
        self.signal(signal.SIGCONT)
        self.signal(number)
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_S)

    def signal(self, number: signal.Signals) -> None:
        if self.runs:
            send_signal(number, self.pid)

    def _tool(self, *words: str) -> None:
        line = [*self._java, "kafka.tools.StorageTool", *words]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def brokers_of(address: str) -> int:
    """How many brokers the one at host:port knows; 0 when it does not list topics. Also callable where an event loop runs."""
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), ASK_S), ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _ask(address)).result()
    return 0


async def _ask(address: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=int(ASK_S * 1000))
    try:
        async with asyncio.timeout(ASK_S):
            await admin.start()
            await admin.list_topics()
            return len((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError, TimeoutError):
        return 0
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(admin.close(), ASK_S)


def version() -> str:
    """The version that all run: the pom's, which docker-compose.yml's image must equal."""
    [found] = re.findall(r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>([\d.]+)</version>", _pom())
    return str(found)


def server_jars() -> Path:
    """The folder of the server's jars, fetched once through Maven. Raises NotHere."""
    maven.need_java("Kafka", ", or set KAFKA_BOOTSTRAP_SERVERS")
    jars = CACHE / version()
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:  # several test runs may want them at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.exists():
            half = CACHE / f"{version()}.half"
            shutil.rmtree(half, ignore_errors=True)
            maven.fetch(DEPLOY / "pom.xml", half, f"Kafka {version()}")
            require_known(half)
            half.rename(jars)
    return jars


def require_known(folder: Path) -> None:
    """Holds the fetched jars against deploy/kafka/jars.sha256. Raises NotHere when one is missing, new or not what it was."""
    listed = [line.split() for line in (DEPLOY / "jars.sha256").read_text().splitlines()]
    known = {name: digest for digest, name in listed}
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in folder.iterdir()}
    if differing := sorted(name for name in known.keys() | found.keys() if known.get(name) != found.get(name)):
        raise NotHere(
            f"{len(differing)} of Kafka's jars are not those of deploy/kafka/jars.sha256, {differing[0]} first: fetched anew they "
            "are still others? Then somebody changed them, or the pom did: look before you write the list anew"
        )


def _pom() -> str:
    return (DEPLOY / "pom.xml").read_text()
