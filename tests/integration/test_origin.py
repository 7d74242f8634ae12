"""The origin (deploy/origin/nginx.conf) in a real nginx, in front of small servers that stand for the APIs."""

import http.server
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.integration import composed, origin
from tests.integration.composed import COMPOSE, ROOT
from tests.servers import NotHere, free_port, until

REQUIRED = os.environ.get("DAOHU_REQUIRE_SERVERS") == "1"
SECRETS = {
    f"{who}_PASSWORD": "x"
    for who in ("POSTGRES", *(f"DAOHU_{s}_DB" for s in ("REGISTRY", "FUNDS", "ASSESSMENT", "NOTIFY")))
}
SERVICES = ("registry", "funds", "assessment", "notify")


class Api:
    """Stands for one replica: answers 200 with its name, or what `says` maps a path to; `hangs_up` closes instead of answering."""

    def __init__(self, name: str) -> None:
        self.name, self.port = name, free_port()
        self.says: dict[str, int] = {}
        self.hangs_up = False
        self.heard: list[str] = []
        self._open: list[socket.socket] = []
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                api._open.append(self.connection)

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                api.heard.append(f"{self.command} {self.path}")
                if api.hangs_up:
                    self.close_connection = True
                    return
                body = json.dumps({"from": api.name}).encode()
                self.send_response(api.says.get(self.path, 200))
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Nobody listens there any more, and connections that were kept open end."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class Front:
    ask: httpx.Client
    apis: dict[str, list[Api]]


@contextmanager
def origin_in_front_of(**replicas: int) -> Iterator[Front]:
    part = composed.parts(COMPOSE, SECRETS)["origin"]
    with ExitStack() as stack:
        try:
            nginx = origin.find_nginx()
        except NotHere as missing:
            (pytest.fail if REQUIRED else pytest.skip)(str(missing))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="daohu-origin-")))
        apis = {name: [Api(f"{name}-{n}") for n in range(1, 1 + replicas.get(name, 1))] for name in SERVICES}
        port, config = free_port(), folder / "nginx.conf"
        ports = {f"{name}-api": [each.port for each in them] for name, them in apis.items()}
        config.write_text(origin.configuration(part, port, ports, folder))
        running = subprocess.Popen(origin.command(part, nginx, config), stderr=subprocess.DEVNULL)
        stack.callback(running.wait, 20)
        stack.callback(running.send_signal, signal.SIGTERM)
        ask = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10))
        until(lambda: answers(ask), 10, "nginx answers")
        yield Front(ask, apis)


def answers(ask: httpx.Client) -> bool:
    try:
        return ask.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    """An origin and one replica of each API, all well."""
    with origin_in_front_of() as running:
        yield running


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_reached_under_its_name(front, service):
    assert front.ask.get(f"/{service}/v1/x?limit=3").json() == {"from": f"{service}-1"}
    assert front.apis[service][0].heard[-1] == f"GET /{service}/v1/x?limit=3"


def test_the_origin_serves_the_committed_document(front):
    answer = front.ask.get("/openapi.json")
    assert (answer.headers["content-type"], answer.content) == (
        "application/json",
        (ROOT / "docs" / "openapi.json").read_bytes(),
    )


@pytest.mark.parametrize("path", ["/", "/nothing", "/funds/metrics", "/funds/demo/v1/round", "/demo/v1/clock"])
def test_what_is_not_for_the_outside_is_not_found(front, path):
    before = len(front.apis["funds"][0].heard)
    answer = front.ask.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(front.apis["funds"][0].heard) == before


def test_an_apis_own_refusal_is_passed_on(front):
    front.apis["funds"][0].says = {"/funds/v1/gone": 404, "/funds/v1/away": 503}
    assert front.ask.get("/funds/v1/gone").json() == {"from": "funds-1"}
    assert front.ask.get("/funds/v1/away").json() == {"from": "funds-1"}


def test_a_body_above_every_limit_is_refused_as_the_apis_refuse(front):
    answer = front.ask.post("/registry/v1/imports/households", content=b"x" * (25 << 20))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_it_is_ready_when_all_four_are():
    with origin_in_front_of() as front:
        assert front.ask.get("/readyz").json() == {"status": "ok"}
        for service in SERVICES:
            front.apis[service][0].says = {f"/{service}/readyz": 503}
            answer = front.ask.get("/readyz")
            assert (answer.status_code, answer.json()) == (503, {"status": "not_ready"})
            front.apis[service][0].says = {}
        front.apis["notify"][0].close()
        assert front.ask.get("/readyz").status_code == 503


def test_an_api_that_is_away_is_a_503_to_repeat():
    with origin_in_front_of() as front:
        front.apis["funds"][0].close()
        for answer in (front.ask.get("/funds/v1/x"), front.ask.post("/funds/v1/x")):
            assert (answer.status_code, answer.json()["retryable"]) == (503, True)
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["content-type"] == "application/problem+json"


def test_a_replica_that_is_away_costs_no_client_an_error():
    with origin_in_front_of(funds=2) as front:
        one = front.apis["funds"][0]
        served = {front.ask.post("/funds/v1/x").json()["from"] for _ in range(4)}
        assert served == {"funds-1", "funds-2"}
        one.close()
        assert {front.ask.post("/funds/v1/x").json()["from"] for _ in range(20)} == {"funds-2"}


def test_a_post_that_may_have_been_read_is_not_sent_to_another_replica():
    with origin_in_front_of(funds=2) as front:
        for replica in front.apis["funds"]:
            replica.hangs_up = True
        answer = front.ask.post("/funds/v1/x", json={})
        assert (answer.status_code, answer.json()["retryable"]) == (503, True)
        assert sum(len(replica.heard) for replica in front.apis["funds"]) == 1


def test_a_get_that_got_no_answer_is_asked_of_another_replica():
    with origin_in_front_of(funds=2) as front:
        front.apis["funds"][0].hangs_up = True
        assert {front.ask.get("/funds/v1/x").json()["from"] for _ in range(4)} == {"funds-2"}
