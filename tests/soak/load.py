"""Who asks for what, how often: the mixed work of a county, each actor at a steady pace, every answer timed.

Actors only use what a client of the API has: tokens, keys, and answers of earlier requests.
"""

import csv
import io
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from demo import cast
from demo.county import County, rows
from demo.county.model import Household
from demo.driver import Answer, Driver, Who
from demo.month.messages import PROMPTED_POSTS
from services.registry.households.imports import HOUSEHOLDS
from shared.clock import Clock, business_date
from shared.roles import Role
from shared.scope import Level, at_level

FUND_FEN, PROJECT_FEN = 10**12, 5 * 10**11
"""More than any soak pays out."""

TRANCHE_FEN, TRANCHE_HOUSEHOLDS, RECEIPT_FEN = 100_001, 10, 100
VISITS_A_BATCH, ROWS_A_FILE, LIST = 20, 50, 50
MEASURE_YEARS = range(2010, 2016)
"""Earlier than those of the county's own measures, so that none is given twice."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One answered request: when (seconds of the monotonic clock), by which actor, how long it took."""

    at: float
    actor: str
    seconds: float


class TimedDriver(Driver):
    """A driver that notes how long each answer took, the waits for a process that was away among it."""

    def __init__(self, url: str, issue: Callable[[Who], str], *, actor: str, asked: list[Asked]) -> None:
        super().__init__(url, issue, key_prefix=f"soak-{actor}")
        self._actor, self._asked = actor, asked

    def ask(self, who: Who, method: str, path: str, **given: Any) -> Answer:
        started = time.monotonic()
        answer = super().ask(who, method, path, **given)
        ended = time.monotonic()
        self._asked.append(Asked(ended, self._actor, ended - started))
        return answer


@dataclass(frozen=True, slots=True)
class Ground:
    """What the actors stand on: the county as it was imported, and what the API calls it. `ids`: household number → id."""

    county: County
    clock: Clock
    ids: dict[str, str]

    @property
    def homes(self) -> list[Household]:
        return [home for home in self.county.households if home is not self.county.candidate]

    @property
    def registered(self) -> list[Household]:
        return [home for home in self.homes if home.status == "registered"]


Acts = Iterator[None]
"""An actor at work: does one act each time it is asked for the next, without end."""


def visits(ground: Ground, driver: Driver) -> Acts:
    """A phone's backend brings batches of visits (走访)."""
    cadre_of = {c.division: c for c in ground.county.cadres if c.post in ("first_secretary", "paired_cadre")}
    homes = itertools.cycle([home for home in ground.homes if home.division in cadre_of])
    for number in itertools.count():
        today = business_date(ground.clock.now()).isoformat()
        items = [
            {
                "household_id": ground.ids[home.number],
                "cadre_no": cadre_of[home.division].cadre_no,
                "visited_on": today,
                "client_ref": f"{number}-{place}",
            }
            for place, home in enumerate(itertools.islice(homes, VISITS_A_BATCH))
        ]
        answer = driver.post(cast.FIELD_APP, "/registry/v1/visits/batch", str(number), {"items": items})
        assert all(result["status"] == 201 for result in answer["results"]), answer
        yield


def measures(ground: Ground, driver: Driver) -> Acts:
    """The office gives measures (帮扶措施)."""
    for year, home in itertools.product(MEASURE_YEARS, ground.registered):
        body = {
            "household_id": ground.ids[home.number],
            "pathway": "ecommerce",
            "year": year,
            "started_on": f"{year}-03-01",
        }
        driver.post(cast.POVERTY_OFFICE, "/registry/v1/measures", f"{year}-{home.number}", body)
        yield
    raise AssertionError("every household has every measure: the soak is too long for the county")


def imports(ground: Ground, driver: Driver) -> Acts:
    """The office hands in a list of households with other incomes than before (动态调整)."""
    for number in itertools.count():
        start = number * ROWS_A_FILE % len(ground.registered)
        incomes = {2015: 300_000 + number % 1000}
        some = [replace(home, incomes_fen=incomes) for home in ground.registered[start : start + ROWS_A_FILE]]
        answer = driver.upload(cast.STATISTICS, "/registry/v1/imports/households", str(number), _csv(some), mode="all")
        assert answer["state"] == "applied", answer
        yield


def _csv(homes: list[Household]) -> bytes:
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(column.title for column in HOUSEHOLDS.columns)
    for cells in map(rows.household, homes):
        lines.writerow(cells.get(column.key, "") for column in HOUSEHOLDS.columns)
    return text.getvalue().encode("utf-8-sig")


class Money:
    """A fund, a project of the town with most payees, receipts, and tranches that are paid when their days are over."""

    def __init__(self, ground: Ground, driver: Driver) -> None:
        self._ground = ground
        paid = {payee.household_no for payee in ground.county.payees}
        towns: dict[str, list[str]] = {}
        for home in ground.homes:
            if home.number in paid and home.status == "registered":
                towns.setdefault(str(at_level(home.division, Level.TOWN)), []).append(home.number)
        self._town, self._households = max(towns.items(), key=lambda item: (len(item[1]), item[0]))
        self._applicant = Who("soak-applicant", (Role.APPLICANT,), (self._town,))
        self._reviewer = Who("soak-reviewer", (Role.REVIEWER,), (self._town,))
        self._hung: list[tuple[int, str, datetime]] = []
        self.received_fen = self.paid_fen = self.payments = 0
        """What was acknowledged."""
        self.fund = driver.post(cast.FINANCE, "/funds/v1/sources", "fund", self._fund())["id"]
        self._receive(driver, "first", FUND_FEN)
        self.project = driver.post(self._applicant, "/funds/v1/projects", "project", self._project())["id"]
        self._decide(driver, "projects", self.project, self._reviewer, "review")
        self._decide(driver, "projects", self.project, cast.APPROVER, "approve")
        allocation = {"source_id": self.fund, "amount_fen": PROJECT_FEN}
        driver.post(cast.FINANCE, f"/funds/v1/projects/{self.project}/allocations", "allocation", allocation)

    def receipts(self, driver: Driver) -> Acts:
        for number in itertools.count():
            self._receive(driver, str(number), RECEIPT_FEN)
            yield

    def tranches(self, driver: Driver) -> Acts:
        """By turns: a list drawn up, decided and hung; one paid whose days (公示) are over."""
        for number in itertools.count():
            self._hang(driver, number)
            yield
            self._pay(driver)
            yield

    def _hang(self, driver: Driver, number: int) -> None:
        homes = [self._households[(number + n) % len(self._households)] for n in range(TRANCHE_HOUSEHOLDS)]
        body = {"tranche_no": f"S-{number}", "amount_fen": TRANCHE_FEN, "basis": "people", "households": sorted(homes)}
        id = driver.post(self._applicant, f"/funds/v1/projects/{self.project}/tranches", f"{number}", body)["id"]
        self._decide(driver, "tranches", id, self._reviewer, "review")
        self._decide(driver, "tranches", id, cast.APPROVER, "approve")
        driver.post(cast.FINANCE, f"/funds/v1/tranches/{id}/holds", f"hold-{number}", None)
        notice = {"subject": f"tranche:{id}", "place": "镇、村公开栏"}
        hung = driver.post(self._applicant, "/funds/v1/notices", f"notice-{number}", notice)
        self._hung.append((number, id, self._ground.clock.now() + timedelta(days=hung["days"])))

    def _pay(self, driver: Driver) -> None:
        if self._hung and self._hung[0][2] <= self._ground.clock.now():
            number, id, _ = self._hung.pop(0)
            paid = driver.post(cast.PAYER, f"/funds/v1/tranches/{id}/payments", f"pay-{number}", None)
            self.paid_fen += paid["amount_fen"]
            self.payments += 1

    def _receive(self, driver: Driver, name: str, fen: int) -> None:
        body = {"amount_fen": fen, "received_on": "2016-10-31", "voucher_no": f"S-{name}"}
        driver.post(cast.FINANCE, f"/funds/v1/sources/{self.fund}/receipts", f"receipt-{name}", body)
        self.received_fen += fen

    def _decide(self, driver: Driver, kind: str, id: str, who: Who, act: str) -> None:
        body = {"act": act, "verdict": "pass"}
        driver.post(who, f"/funds/v1/{kind}/{id}/decisions", f"{act}-{id}", body)

    def _fund(self) -> dict[str, Any]:
        return {
            "fund_no": "SOAK",
            "name": "专项扶贫资金",
            "level": "county",
            "year": 2016,
            "division": cast.COUNTY,
            "document_no": "平财农〔2016〕示例3号",
        }

    def _project(self) -> dict[str, Any]:
        return {
            "project_no": "SOAK",
            "name": "产业到户补助",
            "division": self._town,
            "kind": "产业发展",
            "description": "按家庭人口补助。",
            "unit": "镇人民政府",
            "year": 2016,
            "performance_target": "增收",
            "due_on": "2017-12-20",
        }


def replies(ground: Ground, driver: Driver) -> Acts:
    """The office enters each week's tasks; the leaders' phones report (催报) by SMS."""
    leaders = itertools.cycle([cadre for cadre in ground.county.cadres if cadre.post in PROMPTED_POSTS])
    briefed: set[str] = set()
    for number, leader in enumerate(leaders):
        week = _week(ground.clock.now() + timedelta(days=7))
        if week not in briefed:
            briefed.add(week)
            body = {"division": cast.COUNTY, "week": week, "tasks": ["入户走访"]}
            driver.post(cast.POVERTY_OFFICE, "/notify/v1/briefs", f"brief-{week}", body)
        report = {
            "from": leader.phone,
            "text": "本周任务已完成。",
            "received_at": ground.clock.now().isoformat(),
            "message_ref": f"soak-{number}",
        }
        driver.post(cast.SMS_GATEWAY, "/notify/v1/inbound", str(number), report)
        yield


def _week(moment: datetime) -> str:
    year, week, _ = business_date(moment).isocalendar()
    return f"{year}-W{week:02}"


def reads(ground: Ground, money: Money, driver: Driver) -> Acts:
    """What people look at all day: cards, lists, statistics, the trail of money, scores, the week."""
    for home in itertools.cycle(ground.homes):
        id = ground.ids[home.number]
        paths: tuple[tuple[Who, str], ...] = (
            (cast.POVERTY_OFFICE, f"/registry/v1/households/{id}"),
            (cast.POVERTY_OFFICE, f"/registry/v1/households/{id}/history"),
            (cast.POVERTY_OFFICE, f"/registry/v1/households?limit={LIST}&division={home.division}"),
            (cast.FINANCE, f"/funds/v1/trail/households/{home.number}"),
            (cast.FINANCE, f"/funds/v1/sources/{money.fund}"),
            (cast.FINANCE, "/funds/v1/checkpoints/latest"),
            (cast.STATISTICS, "/registry/v1/statistics/households"),
            (cast.POVERTY_OFFICE, f"/registry/v1/visits?limit={LIST}&household_id={id}"),
            (cast.COUNTY_LEADER, f"/assessment/v1/scores?limit={LIST}&period={_month(ground.clock.now())}"),
            (cast.POVERTY_OFFICE, f"/notify/v1/weeks/{_week(ground.clock.now())}"),
        )
        for who, path in paths:
            driver.ask(who, "GET", path)
            yield


def _month(moment: datetime) -> str:
    return business_date(moment).isoformat()[:7]


PACE_S = {
    "reads": 0.05,
    "receipts": 0.2,
    "replies": 0.25,
    "measures": 0.5,
    "visits": 1.0,
    "tranches": 1.0,
    "imports": 4.0,
}
"""Seconds from one act to the next. Slower answers slow the actor down: it does not queue up work."""


class Load:
    """The actors at work, each in a thread of its own. `failures`: what nobody expected; the actor ends with it."""

    def __init__(self, url: str, issue: Callable[[Who], str], ground: Ground) -> None:
        self.asked: list[Asked] = []
        self.done: dict[str, int] = dict.fromkeys(PACE_S, 0)
        self.failures: list[str] = []
        self._url, self._issue = url, issue
        self._over = threading.Event()
        with self._driver("before") as driver:
            self.money = Money(ground, driver)
        actors: dict[str, Callable[[Driver], Acts]] = {
            "reads": partial(reads, ground, self.money),
            "receipts": self.money.receipts,
            "replies": partial(replies, ground),
            "measures": partial(measures, ground),
            "visits": partial(visits, ground),
            "tranches": self.money.tranches,
            "imports": partial(imports, ground),
        }
        self._threads = [threading.Thread(target=self._work, args=actor, name=actor[0]) for actor in actors.items()]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Returns when the acts in hand are done."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def figures(self) -> dict[str, int]:
        """What the ledger says of the fund, in fen."""
        with self._driver("after") as driver:
            found: dict[str, int] = driver.get(cast.FINANCE, f"/funds/v1/sources/{self.money.fund}")["figures"]
            return found

    def _driver(self, actor: str) -> TimedDriver:
        return TimedDriver(self._url, self._issue, actor=actor, asked=self.asked)

    def _work(self, actor: str, acts: Callable[[Driver], Acts]) -> None:
        try:
            with self._driver(actor) as driver:
                due = time.monotonic()
                for _ in acts(driver):
                    self.done[actor] += 1
                    due = max(due + PACE_S[actor], time.monotonic())
                    if self._over.wait(due - time.monotonic()):
                        return
        except Exception as error:
            self.failures.append(f"{actor}: {type(error).__name__}: {error}")
