"""The area rule over every route of the OpenAPI document: a town sees nothing of another, in whatever form, and no bad token passes.

Two houses live through the same weeks, one with both towns, one without the other. What a town is answered must be equal in
both; nothing in any answer may name a row of the other town; what is the other's must be answered like what does not exist;
and no row outside one's town may change. Source: acceptance point 5; architecture.md 5.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
import pytest_asyncio
from area_rule.asks import ASKS, HOUSE, PUBLIC
from area_rule.examiner import Examiner, request_of, routes_of
from area_rule.house import House, running
from area_rule.town import Seeding, Town
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import func, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from services.assessment.api import ROUTERS as ASSESSMENT
from services.funds.api import ROUTERS as FUNDS
from services.funds.ledger import store as ledger
from services.notify.api import ROUTERS as NOTIFY
from services.notify.weeks import store as weeks
from services.openapi import combined
from services.registry.api import ROUTERS as REGISTRY
from services.registry.households import store as households
from services.registry.statistics import store as statistics
from shared import outbox
from shared.app import PUBLIC as ALWAYS_PUBLIC
from shared.http import Route, Router, allow
from shared.imports import store as imports
from shared.roles import Role
from shared.seen import store as looks
from shared.tables import look
from shared.testing import COUNTY, OTHER_TOWN, TOWN

pytestmark = pytest.mark.asyncio(loop_scope="module")


def our_town() -> Town:
    return Town(OTHER_TOWN, "B", "白云", 7)


def other_town() -> Town:
    return Town(TOWN, "A", "青石", 3)


@dataclass(frozen=True, slots=True)
class Both:
    """The house with both towns, who examines it, the routes of its document, and what one's town is answered without the other."""

    house: House
    examiner: Examiner
    routes: frozenset[str]
    alone: Mapping[str, list[str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Both]:
    ours, other = our_town(), other_town()
    async with running(tmp_path_factory.mktemp("alone")) as house:
        await Seeding(house, [ours]).all()
        alone = await Examiner(house, ours, other).answers(sorted(ASKS))
    ours = our_town()
    async with running(tmp_path_factory.mktemp("both")) as house:
        await Seeding(house, [other, ours]).all()
        routes = frozenset(routes_of(await house.openapi()) - set(PUBLIC) - set(HOUSE))
        yield Both(house, Examiner(house, ours, other), routes, alone)


def unchecked(routes: frozenset[str] | set[str]) -> list[str]:
    """Routes of a document that nobody wrote a check for."""
    return sorted(routes - set(PUBLIC) - set(ASKS))


async def test_every_route_has_a_check_and_every_check_a_route(both: Both) -> None:
    assert unchecked(both.routes) == []
    assert sorted(set(ASKS) - both.routes) == []


async def test_a_route_without_a_check_is_noticed(both: Both) -> None:
    fresh = Router(prefix="/registry/v1/fresh", tags=["fresh"])
    fresh.get("", dependencies=[allow(Role.AUDITOR)])(lambda: "")
    late = FastAPI()
    late.include_router(fresh)
    assert unchecked(routes_of(combined({**both.house.embedded.apps, "late": late}))) == ["GET /registry/v1/fresh"]


async def test_no_route_shows_or_changes_anything_of_another_town(both: Both, say: Callable[[str], None]) -> None:
    report = await both.examiner.examine(sorted(both.routes), both.alone)
    say(f"{report.line}")
    assert [str(leak) for leak in report.leaks] == []
    assert report.checked == len(both.routes)


async def test_there_is_enough_of_the_other_town_to_find(both: Both) -> None:
    """A search for nothing finds nothing: every room of the other town has ids that would give it away."""
    signs = await both.examiner.signs(both.alone)
    known = {name: thing for name, thing in other_things(both).items() if name.endswith("_id")}
    assert {name for name, thing in known.items() if thing not in signs} == {"brief_id", "county_source_id", "run_id"}
    assert len(signs) > 150


def other_things(both: Both) -> dict[str, str]:
    return both.examiner.theirs.things


PLANTED = {
    "a list": ("GET /registry/v1/households", households),
    "a count": ("GET /registry/v1/statistics/households", statistics),
    "another count": ("GET /notify/v1/weeks/{week}", weeks),
    "an export": ("GET /registry/v1/imports/{import_id}/report", imports),
    "a bundle": ("GET /funds/v1/bundles", ledger),
    "a change feed": ("GET /registry/v1/households/changes", outbox),
    "who looked": ("GET /registry/v1/looks", looks),
    "a write": ("POST /registry/v1/households/{household_id}/members", households),
}


@pytest.mark.parametrize("planted", PLANTED)
async def test_a_leak_planted_in(both: Both, planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One store forgets the area rule: the examination says so, of that route."""
    route, store = PLANTED[planted]
    before = await both.examiner.answers([route])
    assert (await both.examiner.examine([route], before)).leaks == []
    monkeypatch.setattr(store, "in_area", lambda column, area: true())
    assert route in {leak.route for leak in (await both.examiner.examine([route], before)).leaks}


def auditors_routes() -> list[str]:
    """Every route whose gate lets an auditor pass."""
    return sorted(
        f"{method} {route.path}"
        for router in (*REGISTRY, *FUNDS, *ASSESSMENT, *NOTIFY)
        for route in router.routes
        if isinstance(route, Route) and Role.AUDITOR in route.gate.roles
        for method in route.methods or ()
    )


async def unrecorded(both: Both, routes: list[str]) -> list[str]:
    """Routes that an auditor asked without leaving exactly one row that names him, the route and his engagement."""
    auditor = both.house.person(Role.AUDITOR, division=OTHER_TOWN, subject="B-auditor")
    engagement = UUID(both.examiner.mine.things["engagement_id"])
    found = []
    for route in routes:
        service = next(s for s in both.house.embedded.services if s.name == route.split("/")[1])
        for ask in ASKS[route]:
            async with service.database.read() as tx:
                last = await tx.scalar(select(func.max(look.c.id))) or 0
            request = request_of(route, ask, both.examiner.mine.things)
            answer = await auditor.send("GET", request.path)
            assert answer.status_code in (200, 404, 409), f"{request.path}: {answer.text}"
            async with service.database.read() as tx:
                rows = (await tx.execute(select(look).where(look.c.id > last))).all()
            if [(row.actor, row.action, row.mandate) for row in rows] != [("B-auditor", route, engagement)]:
                found.append(route)
    return found


async def test_every_query_of_an_auditor_leaves_one_row(both: Both) -> None:
    assert {route.split(" ")[0] for route in auditors_routes()} == {"GET"}
    assert len(auditors_routes()) > 40
    assert await unrecorded(both, auditors_routes()) == []


async def test_a_query_that_is_not_recorded_is_noticed(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgets(_: AsyncConnection, __: looks.Look) -> None:
        """Keeps nothing."""

    monkeypatch.setattr(looks, "add", forgets)
    some = auditors_routes()[::10]
    assert set(await unrecorded(both, some)) == set(some)


async def test_a_mandate_given_in_the_registry_holds_in_every_service(both: Both) -> None:
    token = both.house.token([Role.ENTERPRISE], COUNTY, subject="B-deputy")
    for path in ("/registry/v1/households", "/funds/v1/projects", "/assessment/v1/cadres", "/notify/v1/contacts"):
        himself = {"authorization": f"Bearer {token}"}
        assert (await both.house.http.get(path, headers=himself)).status_code == 403, path
        answer = await both.house.http.get(path, headers={**himself, "daohu-acting-for": "B-absent"})
        assert answer.status_code == 200, path
        assert OTHER_TOWN[:9] in answer.text, path
        assert TOWN[:9] not in answer.text, path


async def test_an_answer_kept_for_one_area_is_not_given_again_in_another(both: Both) -> None:
    """The same program, the same key, the same request: but another area than the one it was answered in."""
    things = other_things(both)
    visit = {"household_id": things["household_id"], "cadre_no": "GB-9", "visited_on": "2016-11-20"}
    theirs = both.house.person(Role.TOWN_OFFICE, division=TOWN, client="app")
    ours = both.house.person(Role.TOWN_OFFICE, division=OTHER_TOWN, client="app")
    await theirs.post("/registry/v1/visits", visit, key="one-key")
    answer = await ours.send("POST", "/registry/v1/visits", visit, key="one-key")
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")


# Tokens


def signed(house: House, **claims: Any) -> str:
    """A token of the house's own key with other claims; `key` signs it instead."""
    good = house.token([Role.COUNTY_ADMIN], TOWN, subject="somebody")
    own = load_pem_private_key((house.settings.home / "keys" / "issuer.pem").read_bytes(), password=None)
    header, key = jwt.get_unverified_header(good), claims.pop("key", own)
    body = jwt.decode(good, options={"verify_signature": False})
    return jwt.encode({**body, **claims}, key, algorithm="EdDSA", headers={"kid": header["kid"]})


def bad_tokens(house: House) -> dict[str, str]:
    good = house.token(list(Role), TOWN, subject="somebody")
    long_ago = house.now - timedelta(days=2)
    return {
        "token_missing": "",
        "token_malformed": "no.token.this",
        "token_expired": house.token(list(Role), TOWN, subject="somebody", now=long_ago, lifetime=timedelta(days=1)),
        "token_forged": signed(house, key=Ed25519PrivateKey.generate()),
        "token_forged by its end": f"{good[:-6]}AAAAAA",
        "token_issuer": signed(house, iss="somewhere-else"),
        "token_audience": signed(house, aud="another-system"),
        "token_no_role": signed(house, roles=[]),
        "token_unknown_role": signed(house, roles=["emperor"]),
        "token_no_division": signed(house, divisions=[]),
        "token_bad_division": signed(house, divisions=["0"]),
    }


async def test_no_route_lets_a_bad_token_pass(both: Both) -> None:
    passed = []
    for case, token in bad_tokens(both.house).items():
        holder = both.house.holder(token)
        for route in sorted(both.routes | {"POST /demo/v1/clock"}):
            request = request_of(route, ASKS[route][0], other_things(both)) if route in ASKS else None
            method, path = route.split(" ")
            answer = await holder.send(method, request.path if request else path, request.body if request else {})
            if (answer.status_code, answer.json()["code"]) != (401, case.split()[0]):
                passed.append(f"{case}: {route} {answer.status_code} {answer.text}")
    assert passed == []


async def test_no_route_lets_a_role_pass_that_it_does_not_name(both: Both) -> None:
    gates = {
        f"{method} {route.path}": route.gate.roles
        for router in (*REGISTRY, *FUNDS, *ASSESSMENT, *NOTIFY)
        for route in router.routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    assert set(gates) == both.routes
    passed = []
    for route, roles in gates.items():
        request = request_of(route, ASKS[route][0], both.examiner.mine.things)
        if others := sorted(set(Role) - roles):
            stranger = both.house.person(*others, division=OTHER_TOWN, subject="of-no-use-here")
            answer = await stranger.send(request.method, request.path, request.body)
            if (answer.status_code, answer.json()["code"]) != (403, "forbidden"):
                passed.append(f"{route} {answer.status_code} {answer.text}")
    assert passed == []


async def test_public_routes_are_named_with_their_reasons(both: Both) -> None:
    """What needs no token is on the list, and nothing on the list needs one."""
    of_house = {
        f"{method} {route.path}"
        for route in both.house.embedded.house.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert of_house == set(HOUSE)
    assert {*PUBLIC, "POST /auth/v1/token"} == routes_of(await both.house.openapi()) - both.routes
    assert all((PUBLIC | HOUSE).values())
    nobody = both.house.holder("")
    for path in [*(route.removeprefix("GET ") for route in PUBLIC), *ALWAYS_PUBLIC]:
        assert (await nobody.send("GET", path)).status_code == 200, path
