"""What is killed when: a plan over the acts of the month, drawn by a seed. The same seed and acts give the same plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatch
from itertools import count
from random import Random

POSTGRES, BACKEND, KAFKA = "postgres", "postgres backend", "kafka"
PROCESSES = (
    "registry-api", "registry-worker", "funds-api", "funds-worker",
    "assessment-api", "assessment-worker", "notify-api", "notify-worker", "origin",
)  # fmt: skip

SCALE = {"funds-api": 2, "funds-worker": 2, "notify-worker": 2}
"""Replicas: two ledger writers take turns, and a group of two is rebalanced."""

SPREAD_S = 1.5
"""A kill that is tied to no point falls so long after the beginning of its act, at most."""

SPARE = 1.15
"""So many times the wanted kills are planned: not each finds its moment."""

LEAST_AT_POINT = 5
SPARE_AT_POINT = 2


class Named(StrEnum):
    """The moments at which a crash could lose something or do it twice."""

    BEFORE_COMMIT = "before commit"
    COMMIT_TO_ACK = "commit → ack"
    ACK_TO_MARK = "ack → mark"
    IN_HANDLER = "inside a handler"
    REBALANCE = "during a rebalance"
    IN_LEDGER_BATCH = "inside a ledger batch"
    GATEWAY_TO_ANSWER = "gateway → its answer"


@dataclass(frozen=True, slots=True)
class Place:
    """A fault point (shared/faults.py) in a service of docker-compose.yml, and acts (patterns) during which it is passed."""

    part: str
    point: str
    acts: tuple[str, ...]


_IMPORTS = ("import:households:*", "import:people:*", "import:measures:*")
_MONEY = ("receipt:*", "allocate:*", "tranche:hold", "pay:*", "tranche:pay")
_PROMPTS = ("clock:*T01:00", "clock:*T10:05")

PLACES: dict[Named, tuple[Place, ...]] = {
    Named.BEFORE_COMMIT: (
        Place("registry-api", "registry.before_commit", (*_IMPORTS, "visits:*", "identification:*", "exit:*")),
        Place("funds-worker", "funds.before_commit", _IMPORTS),
        Place("notify-api", "notify.before_commit", ("brief:*", "sms:*")),
        Place("assessment-worker", "assessment.before_commit", (*_IMPORTS, "visits:*", "sms:*")),
        Place("funds-api", "funds.before_commit", ("import:payees:*", "project:*", "tranche:apply")),
        Place("notify-worker", "notify.before_commit", _PROMPTS),
    ),
    Named.COMMIT_TO_ACK: (
        Place("registry-api", "registry.after_commit", (*_IMPORTS, "visits:*", "identification:*", "exit:*")),
        Place("assessment-worker", "assessment.before_ack", (*_IMPORTS, "visits:*", "sms:*")),
        Place("notify-api", "notify.after_commit", ("brief:*", "sms:*")),
        Place("funds-worker", "funds.before_ack", _IMPORTS),
        Place("funds-api", "funds.after_commit", ("import:payees:*", "project:*", "tranche:apply")),
    ),
    Named.ACK_TO_MARK: (
        Place("registry-worker", "registry.relay_after_send", (*_IMPORTS, "visits:*")),
        Place("notify-worker", "notify.relay_after_send", ("sms:*", *_PROMPTS)),
        Place("assessment-worker", "assessment.relay_after_send", ("import:directory:*", "score:run")),
        Place("funds-worker", "funds.relay_after_send", ("receipt:*", "allocate:*", "tranche:pay")),
    ),
    Named.IN_HANDLER: (
        Place("assessment-worker", "assessment.in_handler", (*_IMPORTS, "visits:*", "sms:*")),
        Place("funds-worker", "funds.in_handler", _IMPORTS),
    ),
    Named.REBALANCE: (
        Place("funds-worker", "funds.rebalance", ("import:measures:*", "visits:*", "clock:*", "sms:*")),
        Place("notify-worker", "notify.rebalance", ("visits:*", "clock:*", "sms:*")),
    ),
    Named.IN_LEDGER_BATCH: (
        Place("funds-api", "funds.ledger_before_commit", _MONEY),
        Place("funds-api", "funds.ledger_after_commit", _MONEY),
    ),
    Named.GATEWAY_TO_ANSWER: (Place("notify-worker", "notify.gateway_after_call", _PROMPTS),),
}

OF_POINT = {(place.part, place.point): named for named, places in PLACES.items() for place in places}

BUSY = {"clock": 12, "import": 12, "visits": 12, "receipt": 4, "allocate": 4, "tranche": 4}
"""How much more often than others an act of this kind is chosen for a kill at any place: more happens in it."""


@dataclass(frozen=True, slots=True)
class Order:
    """A kill. `act`: the number of the act at whose beginning it is given; `point`: empty for wherever it stands by then."""

    act: int
    part: str
    point: str = ""
    after_s: float = 0.0


def draw(acts: Sequence[str], seed: int, kills: int) -> list[Order]:
    """Orders by act: those at the named points first, then both servers, then any process anywhere."""
    rng = Random(f"chaos/{seed}")
    short = kills < 2 * len(Named) * LEAST_AT_POINT
    each = 1 if short else LEAST_AT_POINT + SPARE_AT_POINT
    orders = [order for named in Named for order in _at(named, acts, each, rng)]
    servers = (
        [POSTGRES, KAFKA]
        if short
        else [*[POSTGRES] * max(3, kills // 25), *[BACKEND] * 5, *[KAFKA] * max(2, kills // 40)]
    )
    anywhere = max(0, int(kills * (1 if short else SPARE)) - len(orders) - len(servers))
    orders += [_anywhere(part, acts, rng) for part in servers]
    orders += [_anywhere(rng.choice(PROCESSES), acts, rng) for _ in range(anywhere)]
    return sorted(orders, key=lambda order: order.act)


def _at(named: Named, acts: Sequence[str], times: int, rng: Random) -> list[Order]:
    """The places of a point in turn, each time during another act as long as there are such."""
    places = PLACES[named]
    free = {place: _during(place, acts) for place in places}
    orders: list[Order] = []
    for turn in count():
        place = places[turn % len(places)]
        free[place] = free[place] or _during(place, acts)
        act = free[place].pop(rng.randrange(len(free[place])))
        orders.append(Order(act, place.part, place.point))
        if named is Named.REBALANCE:  # a member leaves and comes back, and the other gives up its partitions
            orders.append(Order(act, place.part))
        if turn + 1 == times:
            return orders
    raise AssertionError


def _during(place: Place, acts: Sequence[str]) -> list[int]:
    found = [number for number, act in enumerate(acts) if any(fnmatch(act, pattern) for pattern in place.acts)]
    if not found:
        raise ValueError(f"no act of the month reaches {place.part} {place.point}")
    return found


def _anywhere(part: str, acts: Sequence[str], rng: Random) -> Order:
    [act] = rng.choices(range(len(acts)), [BUSY.get(act.partition(":")[0], 1) for act in acts])
    return Order(act, part, after_s=rng.uniform(0, SPREAD_S))
