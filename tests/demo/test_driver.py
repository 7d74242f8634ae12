"""The driver outside the house: it repeats what got no answer under the same key, and never goes on without one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from demo import cast
from demo.driver import Driver, Gone, Unexpected
from demo.server import PORTS, free_port


@dataclass
class House:
    """A house that answers as told, one script entry a request; None closes the connection without an answer."""

    script: list[tuple[int, dict[str, object]] | None] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def house() -> Iterator[House]:
    told = House()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", "0")))
            told.keys.append(self.headers.get("idempotency-key"))
            act = told.script.pop(0)
            if act is None:
                self.close_connection = True
                self.connection.close()
                return
            status, body = act
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.send_header("etag", '"7"')
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    yield told
    server.shutdown()
    server.server_close()


def driver(house: House, patience_s: float = 10) -> Driver:
    return Driver(house.url, lambda who: who.subject, key_prefix="t", patience_s=patience_s)


def test_a_post_without_an_answer_is_repeated_under_its_key(house: House) -> None:
    house.script = [None, (503, {}), (429, {}), (408, {}), (201, {"id": 1})]
    with driver(house) as hands:
        assert hands.post(cast.ADMIN, "/x", "act", {}) == {"id": 1}
    assert house.keys == ["t:act"] * 5


def test_a_refusal_ends_the_script(house: House) -> None:
    house.script = [(409, {"code": "no"})]
    with driver(house) as hands, pytest.raises(Unexpected, match="409"):
        hands.post(cast.ADMIN, "/x", "act", {})


def test_a_refusal_that_must_come_is_handed_over(house: House) -> None:
    house.script = [(409, {"code": "objection_open"}), (201, {})]
    with driver(house) as hands:
        assert hands.refused(cast.PAYER, "/x", "act", None) == {"code": "objection_open"}
        with pytest.raises(Unexpected):
            hands.refused(cast.PAYER, "/x", "act", None)


def test_pages_are_followed_to_the_last(house: House) -> None:
    house.script = [(200, {"items": [1, 2], "next": "c"}), (200, {"items": [3], "next": None})]
    with driver(house) as hands:
        assert hands.pages(cast.ADMIN, "/x") == [1, 2, 3]


def test_nobody_is_waited_for_without_end(house: House) -> None:
    house.script = [(503, {})] * 3
    with driver(house, patience_s=0) as hands, pytest.raises(Gone):
        hands.get(cast.ADMIN, "/x")


def test_a_free_port_lies_below_those_of_outgoing_connections() -> None:
    assert free_port() in PORTS
    assert PORTS.stop <= 32_768
