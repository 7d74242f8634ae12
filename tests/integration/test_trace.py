"""One trace shows how a payment becomes a leader's SMS: HTTP, ledger, outbox, bus, handlers, days later the gateway."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import httpx
import pytest

from demo import cast
from demo.command import issuing
from demo.county import County, generate
from demo.driver import Driver
from demo.month import STARTS_AT, Stage
from demo.month.imports import Imports
from demo.month.messages import Messages
from demo.month.money import Money
from demo.server import Server
from shared.clock import county_instant
from tests.integration.conftest import running_cluster
from tests.integration.otlp import Collector, Span

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ASKED_FOR_ONLY = {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}
"""Of the whole month only the trace is recorded that its caller wants to be."""

PAYMENTS = "/funds/v1/tranches/{tranche_id}/payments"


@dataclass(frozen=True, slots=True)
class House:
    """A running house: hands at its address, and the collector that its processes send to."""

    url: str
    home: Path
    driver: Driver
    collector: Collector


@contextmanager
def embedded(folder: Path, collector: Collector) -> Iterator[House]:
    server = Server(folder / "home", STARTS_AT, env={**collector.env, **ASKED_FOR_ONLY})
    server.start()
    try:
        with Driver(server.url, issuing(server.home), key_prefix="trace") as driver:
            yield House(server.url, server.home, driver, collector)
    finally:
        server.stop()


@contextmanager
def cluster(_: Path, collector: Collector) -> Iterator[House]:
    env = {**collector.env, **ASKED_FOR_ONLY}
    with running_cluster(starts_at=STARTS_AT, env=env) as started, started.driver("trace") as driver:
        yield House(started.url, started.home, driver, collector)


@pytest.fixture(scope="module", params=[embedded, cluster], ids=["one process", "cluster"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    start: Callable[[Path, Collector], AbstractContextManager[House]] = request.param
    with Collector() as collector, start(tmp_path_factory.mktemp("trace"), collector) as running:
        yield running


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> County:
    return generate(1, tmp_path_factory.mktemp("county"))


@pytest.fixture(scope="module")
def paid(house: House, county: County, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A tranche is paid on a Thursday by somebody who wants the trace; on Monday the prompts go out. Answers to how many people."""
    hands, stage = house.driver, Stage(house.driver, county, tmp_path_factory.mktemp("papers"), lambda *_: None)
    money, messages = Money(stage), Messages(stage)
    Imports(stage).take_over()
    messages.enter_briefs()
    hands.clock(cast.ADMIN, county_instant(date(2016, 11, 7), 9))
    money.receive(date(2016, 11, 1))
    money.apply()
    money.approve()
    money.draw_up_tranche()
    money.publish()
    hands.clock(cast.ADMIN, county_instant(date(2016, 11, 17), 16))
    answer = httpx.post(
        house.url + PAYMENTS.format(tranche_id=money.tranche_id),
        headers={
            "authorization": f"Bearer {issuing(house.home)(cast.PAYER)}",
            "idempotency-key": "traced-payment",
            "traceparent": f"00-{TRACE}-{CALLER}-01",
        },
        timeout=60,
        trust_env=False,
    )
    assert answer.is_success, answer.text
    hands.clock(cast.ADMIN, county_instant(date(2016, 11, 21), 9))
    return len(messages.recipients)


def one(found: list[Span]) -> Span:
    [span] = found
    return span


def test_a_payment_is_followed_to_the_leaders_phones(house: House, paid: int) -> None:
    named = house.collector.named
    request = one(named("daohu-funds", f"POST {PAYMENTS}"))
    assert (request.trace, request.parent) == (TRACE, CALLER)
    assert request.attributes["http.route"] == PAYMENTS
    inside = {
        "post to the ledger": one(named("daohu-funds", "post to the ledger")).parent,
        "publish": one(named("daohu-funds", "publish")).parent,
        "assessment": one(named("daohu-assessment", "process funds.tranche_paid.v1")).parent,
        "notify": one(heard := named("daohu-notify", "process funds.tranche_paid.v1")).parent,
    }
    assert inside == dict.fromkeys(inside, request.id)
    told = named("daohu-notify", "tell the leader by SMS", at_least=paid)
    assert {(span.trace, span.parent) for span in told} == {(TRACE, one(heard).id)}
    assert len(told) == paid


def test_nothing_else_was_recorded(house: House, paid: int) -> None:
    assert paid
    assert {span.trace for span in house.collector.spans} == {TRACE}


def test_the_trace_holds_no_person(house: House, county: County, paid: int) -> None:
    """Neither a number nor a name of the people who were paid or told, nor any other value of the request."""
    text = "".join(span.text for span in house.collector.spans)
    persons = {value for cadre in county.cadres for value in (cadre.phone, cadre.name, cadre.cadre_no)}
    assert paid
    assert len(persons) > paid
    assert [value for value in persons if value in text] == []
    known = {"http.request.method", "http.route", "http.response.status_code", "daohu.kind"}
    assert {key for span in house.collector.spans for key in span.attributes} <= known
