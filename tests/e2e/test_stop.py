"""A graceful stop: what was asked before the signal is answered, what was acknowledged is there, and the home is free again."""

import os
import signal
import threading
import time

import httpx

from demo.driver import Who
from demo.server import Server
from services.embedded import lock
from shared.roles import Role
from tests.e2e.conftest import STARTS_AT, issue_at

COUNTY = "610926000000"
STOP_SECONDS = 20


def brief(week: int) -> dict[str, object]:
    return {"division": COUNTY, "week": f"2017-W{week:02d}", "tasks": ["核实退出户收入"]}


def test_sigterm_answers_what_was_asked_and_loses_nothing_acknowledged(tmp_path):
    server = Server(tmp_path, STARTS_AT)
    server.start()
    token = issue_at(tmp_path)(Who("office", (Role.POVERTY_OFFICE,), (COUNTY,)))
    headers = {"authorization": f"Bearer {token}"}
    answers: list[int] = []
    asked = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=20) as http:
            for week in range(1, 53):
                try:
                    answer = http.post("/notify/v1/briefs", json=brief(week), headers={"idempotency-key": f"b-{week}"})
                except httpx.TransportError:
                    return
                answers.append(answer.status_code)
                if week == 10:
                    asked.set()

    asking = threading.Thread(target=ask)
    asking.start()
    assert asked.wait(30)
    os.kill(server.pid, signal.SIGTERM)
    given_up = time.monotonic() + STOP_SECONDS
    while server.running() and time.monotonic() < given_up:
        time.sleep(0.05)
    assert not server.running()
    asking.join(30)
    assert set(answers) == {201}
    lock(tmp_path).close()
    server.start()
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as http:
        assert len(http.get("/notify/v1/briefs", params={"limit": 500}).json()["items"]) >= len(answers)
    server.stop()
