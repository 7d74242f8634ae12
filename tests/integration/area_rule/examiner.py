"""Asks every route in the name of one town and looks for what belongs to the other."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from area_rule.answers import blanked, comparable, next_of, text_of
from area_rule.asks import ASKS, Ask
from area_rule.house import House, Person
from area_rule.rows import marks, rows_of, snapshot, split, without
from area_rule.town import Town
from shared.ids import new_id
from shared.roles import Role

MAX_PAGES = 100
ALL_BUT_AUDITOR = tuple(role for role in Role if role is not Role.AUDITOR)
METHODS = ("get", "post", "put", "patch", "delete")
_PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Leak:
    """What a route gave away: `how` says by what it was noticed."""

    route: str
    how: str
    asked: str

    def __str__(self) -> str:
        return f"{self.route}: {self.how} ({self.asked})"


@dataclass(slots=True)
class Report:
    """What an examination found."""

    routes: int
    checked: int = 0
    leaks: list[Leak] = field(default_factory=list)

    @property
    def line(self) -> str:
        return f"routes {self.routes}, checked {self.checked}, leaks {len(self.leaks)}"


def routes_of(openapi: Mapping[str, Any]) -> set[str]:
    """Every "METHOD /path" of an OpenAPI document."""
    paths = openapi["paths"].items()
    return {f"{method.upper()} {path}" for path, item in paths for method in item if method in METHODS}


class Recorder(Mapping[str, str]):
    """Things that remember which of them were named."""

    def __init__(self, things: Mapping[str, str]) -> None:
        self.things, self.named = things, dict[str, str]()

    def __getitem__(self, name: str) -> str:
        self.named[name] = self.things[name]
        return self.things[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.things)

    def __len__(self) -> int:
        return len(self.things)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is sent, and the things it names."""

    method: str
    path: str
    body: Any
    named: Mapping[str, str]

    def said(self) -> str:
        body = self.body.decode() if isinstance(self.body, bytes) else str(self.body)
        return f"{self.path} {body}"


def request_of(route: str, ask: Ask, things: Mapping[str, str]) -> Request:
    method, path = route.split(" ")
    recorder = Recorder(things)
    fills = iter(ask.path.split("/")) if ask.path else None
    path = _PARAMETER.sub(lambda m: next(fills) if fills else m.group(), path).format_map(recorder)
    if ask.query:
        path = f"{path}?{ask.query.format_map(recorder)}"
    return Request(method, path, ask.body(recorder) if ask.body else None, recorder.named)


def strangers(things: Mapping[str, str], town: Town) -> dict[str, str]:
    """Things of the same make as a town's, that do not exist."""
    return {name: _strange(value, town) for name, value in things.items()}


def _strange(value: str, town: Town) -> str:
    head, dot, attempt = value.partition(".")
    try:
        UUID(head)
    except ValueError:
        pass
    else:
        return f"{new_id().hex}{dot}{attempt}" if dot else str(new_id())
    if value.isdigit() and len(value) < 5:
        return "999999"
    value = value.replace(town.code[:9], "610926199").replace(town.phone(1), "19900009009")
    return re.sub(rf"(^|-){town.letter}(?=-|\d)", r"\1Z", value)


class Examiner:
    """Somebody of `mine` with every role but the auditor's, who writes nothing; `theirs` is the other town, of which he must see nothing."""

    def __init__(self, house: House, mine: Town, theirs: Town) -> None:
        self.house, self.mine, self.theirs = house, mine, theirs
        self.person: Person = house.person(*ALL_BUT_AUDITOR, division=mine.code, subject="everything-of-a-town")
        self.nobody = strangers(theirs.things, theirs)

    async def answers(self, routes: Sequence[str]) -> dict[str, list[str]]:
        """Route → what it says of one's own town, comparable between houses."""
        return {route: [shown async for shown, _ in self._own(route)] for route in routes if route.startswith("GET ")}

    async def examine(self, routes: Sequence[str], alone: Mapping[str, list[str]]) -> Report:
        """Looks at these routes. `alone`: the answers of a house in which the other town does not exist."""
        report = Report(len(routes))
        before, signs = await self.others_rows(), await self.signs(alone)
        for route in sorted(routes, key=lambda route: (not route.startswith("GET "), route)):
            report.leaks += [leak async for leak in self._look(route, alone, signs)]
            report.checked += 1
        after = await self.others_rows()
        for table, values in {**(before - after), **(after - before)}:
            report.leaks.append(Leak(table, "a row outside one's own town was written", str(values)))
        return report

    async def signs(self, alone: Mapping[str, list[str]]) -> set[str]:
        """Ids and texts that only rows of the other town hold, and the word in all its texts (also in sealed ones)."""
        rows = await rows_of(self.house)
        theirs, _ = split(rows, self.theirs.code, self.mine.code)
        known = "\n".join(text for texts in alone.values() for text in texts)
        return {sign for sign in marks(theirs, without(rows, theirs)) if sign not in known} | {self.theirs.word}

    async def others_rows(self) -> Counter[tuple[str, Any]]:
        """All rows but those of one's own town."""
        rows = await rows_of(self.house)
        mine, _ = split(rows, self.mine.code, self.theirs.code)
        return snapshot(without(rows, mine))

    async def _look(self, route: str, alone: Mapping[str, list[str]], signs: set[str]) -> Any:
        if route.startswith("GET "):
            seen = []
            async for shown, text in self._own(route):
                seen.append(shown)
                for sign in _signs_in(text, signs):
                    yield Leak(route, f"shows {sign}", "own things")
            if seen != alone[route]:
                yield Leak(
                    route, "answers differently because the other town is there", _difference(seen, alone[route])
                )
        for ask in ASKS[route]:
            for aim in self._aims(route, ask):
                async for leak in self._aimed(route, ask, aim, signs):
                    yield leak

    async def _own(self, route: str) -> Any:
        """(comparable, everything it says) of each ask with one's own things, lists also page by page."""
        for ask in ASKS[route]:
            request = request_of(route, ask, self.mine.things)
            answer = await self._send(request)
            yield (str(answer.status_code) if ask.log else comparable(answer)), text_of(answer)
            if answer.is_success and not ask.log and answer.content.startswith(b'{"items":'):
                async for page in self._pages(request):
                    yield comparable(page), text_of(page)

    async def _pages(self, request: Request) -> Any:
        """The list again, one item a page."""
        glue = "&" if "?" in request.path else "?"
        start = path = f"{request.path}{glue}limit=1"
        for _ in range(MAX_PAGES):
            page = await self.person.send("GET", path)
            yield page
            following = next_of(page)
            if not following or not page.json()["items"]:
                return
            path = f"{start}&after={following}"
        raise AssertionError(f"{start}: more than {MAX_PAGES} pages")

    def _aims(self, route: str, ask: Ask) -> list[frozenset[str]]:
        """Which things of the other town a request names: all it could, and each alone beside one's own.

        A write that names none speaks of the county's things, and is sent as it is.
        """
        named = frozenset(request_of(route, ask, self.theirs.things).named)
        if not named:
            return [] if route.startswith("GET ") else [named]
        return [named, *(frozenset({name}) for name in sorted(named) if len(named) > 1)]

    async def _aimed(self, route: str, ask: Ask, aim: frozenset[str], signs: set[str]) -> Any:
        theirs = request_of(route, ask, {**self.mine.things, **{name: self.theirs.things[name] for name in aim}})
        answer = await self._send(theirs)
        asked = f"aimed at {', '.join(sorted(aim)) or 'the county'}"
        sent = theirs.said()
        for sign in _signs_in(text_of(answer), {sign for sign in signs if sign not in sent}):
            yield Leak(route, f"shows {sign}", asked)
        if ask.taken or not aim or any(self.theirs.things[name] == self.mine.things[name] for name in aim):
            return  # a thing of the county exists for neither
        nobodys = request_of(route, ask, {**self.mine.things, **{name: self.nobody[name] for name in aim}})
        said = _unnamed(answer, theirs), _unnamed(await self._send(nobodys), nobodys)
        if said[0] != said[1]:
            yield Leak(route, "answers otherwise than for what does not exist", f"{asked}: {_difference(*said)}")

    async def _send(self, request: Request) -> httpx.Response:
        """Sends it as somebody would who has just read the version; a request that is malformed checks nothing."""
        answer = await self.person.send(request.method, request.path, request.body, etag='"1"')
        if answer.status_code == httpx.codes.PRECONDITION_FAILED:
            current = answer.json()["current"]
            answer = await self.person.send(request.method, request.path, request.body, etag=current)
        refused = answer.status_code >= 500 or answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
        assert not refused, f"{request.said()}: {answer.text}"
        return answer


def _signs_in(text: str, signs: set[str]) -> list[str]:
    return sorted(sign for sign in signs if sign in text)


def _unnamed(answer: httpx.Response, request: Request) -> str:
    """The answer with what the request named put back into braces, so that two requests of one make can be compared."""
    text = comparable(answer)
    for name, value in sorted(request.named.items(), key=lambda item: -len(item[1])):
        text = text.replace(blanked(value), f"{{{name}}}") if len(value) > 4 else text
    return text


def _difference(one: Any, other: Any) -> str:
    """The first place where two answers differ."""
    if isinstance(one, list):
        pairs = [(a, b) for a, b in zip(one, other, strict=False) if a != b]
        return _difference(*pairs[0]) if pairs else f"{len(one)} answers, {len(other)} alone"
    place = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, place - 60)
    return f"…{one[start : place + 80]}… against …{other[start : place + 80]}…"
