"""docs/roles.md cell by cell: in a running house each role alone tries each act of the table.

Where the table says yes the gate lets him pass in his own town, and nothing of the other town is shown or written; where it
says no he is refused as a stranger to the act. Source: XC-004; issue 5, "done when" 3.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace

import httpx
import pytest
import pytest_asyncio
from area_rule.answers import text_of
from area_rule.asks import ASKS, Ask
from area_rule.examiner import Examiner, Request, request_of
from area_rule.house import House, Person, running
from area_rule.town import Seeding, Town

from services.roles_table import COMMITTED, SHIPPED, Act, Row, acts, as_markdown, read, routers
from shared.http import Gate, Route
from shared.policy import PolicyBook
from shared.roles import TITLES, Role
from shared.testing import COUNTY, OTHER_TOWN, TOWN

asked = pytest.mark.asyncio(loop_scope="module")

ROWS = read(COMMITTED.read_text(encoding="utf-8"))
STRANGER = {"forbidden", "not_your_ledger"}
"""Codes by which somebody is told that his role has no part in an act."""
THE_COUNTYS = {
    "GET /assessment/v1/schemes",
    "GET /assessment/v1/scores/runs/{run_id}/changes",
    "GET /notify/v1/briefs/{brief_id}",
}
"""Acts whose things here are the county's: a town is told that there are none, and the county's people read them."""
HIMSELF = {"POST /notify/v1/reports": "cadre_no", "POST /assessment/v1/scores/{subject}/appeals": "post_cadre_no"}
"""What somebody is called who does these for himself, in the last of their asks."""
WRONG_ROW = "错".encode()
"""Makes a file of any kind one with a report."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A cell that is not as the table says."""

    address: str
    role: Role
    how: str

    def __str__(self) -> str:
        return f"{self.address} · {self.role}: {self.how}"


class Cells:
    """Tries cells in a house with two towns; `mine` is the town of whoever tries."""

    def __init__(self, house: House, mine: Town, theirs: Town) -> None:
        self.house, self.mine, self.theirs = house, mine, theirs
        self.examiner = Examiner(house, mine, theirs)
        self.people = {role: house.person(role, division=mine.code, subject=f"cell-{role}") for role in Role}
        self.signs: set[str] = set()
        self.files: dict[str, str] = {}
        self.tried = 0

    async def begin(self) -> None:
        """Learns what would give the other town away, and has a wrong file of each kind to ask for."""
        self.signs = await self.examiner.signs({})
        for row in ROWS:
            if row.kind and not row.reads:
                file = self._asked(row, self.mine)
                taken = await self._send(self.people[min(row.roles)], replace(file, body=file.body + WRONG_ROW))
                self.files[row.route.split("/")[1] + row.kind] = taken.json()["import_id"]

    async def wrong(self, rows: Iterable[Row]) -> list[Wrong]:
        """Tries every role at each of these rows, reading before writing. Returns what is not so."""
        before = await self.examiner.others_rows()
        found = [wrong for row in sorted(rows, key=lambda row: not row.reads) async for wrong in self._row(row)]
        assert await self.examiner.others_rows() == before, "a row outside one's own town was written"
        return found

    async def _row(self, row: Row) -> AsyncIterator[Wrong]:
        mine, theirs = self._asked(row, self.mine), self._asked(row, self.theirs)
        for role, person in self.people.items():
            self.tried += 1
            answer = await self._send(person, mine)
            if (how := _judged(row, role, answer)) or role not in row.roles:
                if how:
                    yield Wrong(row.address, role, how)
                continue
            if row.address in THE_COUNTYS:
                officer = self.house.person(role, subject=f"cell-county-{role}")
                county = request_of(row.route, ASKS[row.route][0], {**self.mine.things, "division": COUNTY})
                if not (await self._send(officer, county)).is_success:
                    yield Wrong(row.address, role, "reads nothing of the county's")
            if role in row.own:
                himself = self.house.person(role, division=self.mine.code, subject=self.mine.things[HIMSELF[row.route]])
                about = request_of(row.route, ASKS[row.route][-1], self.mine.things)
                if (alone := await self._send(himself, about)).status_code in (401, 403, 404):
                    yield Wrong(row.address, role, f"is refused for himself: {_code(alone)}")
            there = text_of(await self._send(person, theirs))
            for sign in sorted(sign for sign in self.signs if sign in there and sign not in theirs.said()):
                yield Wrong(row.address, role, f"is shown {sign} of another town")

    def _asked(self, row: Row, town: Town) -> Request:
        asks = ASKS[row.route]
        ask = next((ask for ask in asks if ask.path == row.kind), asks[0])
        if row.kind and "{import_id}" in row.route and self.files:
            ask = Ask(path=self.files[row.route.split("/")[1] + row.kind])
        return request_of(row.route, ask, town.things)

    async def _send(self, person: Person, request: Request) -> httpx.Response:
        """Sends it as somebody would who has just read the version."""
        answer = await person.send(request.method, request.path, request.body, etag='"1"')
        if answer.status_code == httpx.codes.PRECONDITION_FAILED:
            answer = await person.send(request.method, request.path, request.body, etag=answer.json()["current"])
        proper = answer.status_code < 500 and answer.status_code != httpx.codes.UNPROCESSABLE_ENTITY
        assert proper, f"{request.said()}: {answer.text}"
        return answer


def _code(answer: httpx.Response) -> str:
    return "" if answer.is_success else str(answer.json()["code"])


def _judged(row: Row, role: Role, answer: httpx.Response) -> str:
    """What is wrong with this answer to a request in one's own town; empty when nothing is."""
    code = _code(answer)
    if role not in row.roles:
        return "" if answer.status_code == 403 and code in STRANGER else f"may, and should not: {answer.status_code}"
    if code in STRANGER or answer.status_code == 401:
        return f"may not, and should: {code}"
    if role in row.own and answer.status_code != 403:
        return f"acts for others too: {answer.status_code}"
    if row.reads and not answer.is_success and not (row.address in THE_COUNTYS and code == "not_found"):
        return f"reads nothing of his own: {answer.status_code} {code}"
    return ""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cells(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cells]:
    mine, theirs = Town(OTHER_TOWN, "B", "白云", 7), Town(TOWN, "A", "青石", 3)
    async with running(tmp_path_factory.mktemp("cells")) as house:
        await Seeding(house, [theirs, mine]).all()
        tried = Cells(house, mine, theirs)
        await tried.begin()
        yield tried


@asked
async def test_every_cell_of_the_table_is_as_it_says(cells: Cells, say: Callable[[str], None]) -> None:
    wrong = await cells.wrong(ROWS)
    say(f"roles {len(Role)}, acts {len(ROWS)}, cells {cells.tried}, wrong {len(wrong)}")
    assert not wrong, "\n".join(map(str, wrong))
    assert cells.tried == len(ROWS) * len(Role)
    assert f"= {cells.tried} cells" in COMMITTED.read_text(encoding="utf-8")


def row_of(address: str) -> Row:
    return next(row for row in ROWS if row.address == address)


def gate_of(route: str) -> Gate:
    """The gate that stands before a route in this process, in the running house too."""
    method, path = route.split(" ")
    routes = (route for rooms in routers().values() for router in rooms for route in router.routes)
    return next(r.gate for r in routes if isinstance(r, Route) and r.path == path and method in (r.methods or ()))


PLANTED = {
    "lets one role more pass": ("GET /registry/v1/households", {Role.ENTERPRISE}, set()),
    "lets one role less pass": ("GET /funds/v1/sources", set(), {Role.REVIEWER}),
    "lets an auditor write": ("POST /funds/v1/sources", {Role.AUDITOR}, set()),
}


@asked
@pytest.mark.parametrize("planted", PLANTED)
async def test_a_gate_is_noticed_that(cells: Cells, planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address, more, less = PLANTED[planted]
    gate = gate_of(address)
    monkeypatch.setattr(gate, "roles", (gate.roles | more) - less)
    assert {(cell.address, cell.role) for cell in await cells.wrong([row_of(address)])} == {
        (address, role) for role in more | less
    }


def told(row: Row | Act) -> tuple[str, frozenset[Role], frozenset[Role], str]:
    return row.address, row.roles, row.own, row.reach


def test_the_document_says_what_the_routes_enforce() -> None:
    table = acts()
    assert as_markdown(table, PolicyBook.load(SHIPPED)) == COMMITTED.read_text(encoding="utf-8")
    assert set(map(told, table)) == set(map(told, ROWS))
    assert len(table) == len(ROWS)


@pytest.mark.rule("XC-004")
def test_every_role_has_its_name_in_the_countys_words() -> None:
    assert list(TITLES) == list(Role)
    assert all("\u4e00" <= letter <= "\u9fff" for title in TITLES.values() for letter in title.zh)


def test_an_auditor_writes_nothing() -> None:
    assert [row.address for row in ROWS if not row.reads and Role.AUDITOR in row.roles] == []
