"""What every answer is held against: no fault of ours, a refusal that says what it is, nothing of the other town."""

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
from area_rule.answers import text_of
from area_rule.town import Town

FOUND = Path(__file__).parent / "found"
"""Inputs that once did harm, each as the request it was; every run asks them again."""

PROBLEM = "application/problem+json"
_LOOKS = re.compile(r"/v1/looks\b")
MAX_FAILURES = 20
"""After so many a run ends: there is enough to read."""


@dataclass(frozen=True, slots=True)
class Input:
    """A request as it was sent, so that it can be sent again. The token, the key and the version are put in by the sender."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def text(self) -> str:
        coding = "utf-16" if self.body.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"  # JSON may be either
        return f"{unquote(self.path)} {self.path} {self.body.decode(coding, 'replace')}"

    def keep(self, kind: str, why: str) -> Path:
        """Writes it to FOUND; the name is made of its content, so that the same is kept once."""
        said = {"kind": kind, "why": why, "method": self.method, "path": self.path, "headers": self.headers}
        said["body"] = base64.b64encode(self.body).decode()
        text = json.dumps(said, ensure_ascii=False, indent=1)
        name = hashlib.sha256(f"{self.method} {self.path} {said['body']}".encode()).hexdigest()[:10]
        path = FOUND / f"{kind.replace(', ', '-')}-{name}.json"
        path.write_text(text + "\n", encoding="utf-8")
        return path

    @classmethod
    def kept(cls, path: Path) -> "Input":
        said = json.loads(path.read_text(encoding="utf-8"))
        return cls(said["method"], said["path"], said["headers"], base64.b64decode(said["body"]))


@dataclass(slots=True)
class Tally:
    """Inputs by kind, answers by status, and what was wrong."""

    inputs: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    memory: list[str] = field(default_factory=list)

    @property
    def enough(self) -> bool:
        return len(self.failures) >= MAX_FAILURES

    def add(self, other: "Tally") -> None:
        self.inputs += other.inputs
        self.answers += other.answers
        self.failures += other.failures

    def lines(self) -> list[str]:
        kinds = [f"{kind:<42}{count:>9,}" for kind, count in sorted(self.inputs.items())]
        statuses = " · ".join(f"{status}: {count:,}" for status, count in sorted(self.answers.items()))
        # a file read in process is answered by the code of its refusal
        return [*kinds, f"{'inputs in all':<42}{self.inputs.total():>9,}", f"answers  {statuses}"]


class Judge:
    """Holds answers against the rules and writes down what breaks one. `theirs` is the town of which nothing may be seen."""

    def __init__(self, tally: Tally, mine: Town, theirs: Town, where: str) -> None:
        """`where`: the database on which the house under attack runs."""
        self.tally, self.canaries, self.where = tally, canaries(mine, theirs), where
        self._named: set[str] = set()
        """Canaries that the caller has sent: the record of looks tells him what he asked for."""
        self._written: set[str] = set()
        """Those of them in writes that were accepted: from then on he reads what he wrote himself."""

    def see(self, kind: str, sent: Input, answer: httpx.Response, *, wrong: Sequence[str] = ()) -> None:
        """One answer; `wrong`: what others found wrong with it."""
        self.tally.inputs[f"{kind} · {self.where}"] += 1
        self.tally.answers[str(answer.status_code)] += 1
        for why in [*wrong, *self._wrong(sent, answer)]:
            path = sent.keep(kind, why)
            self.tally.failures.append(f"{kind} · {self.where}: {sent.method} {sent.path[:200]}: {why} ({path.name})")

    def _wrong(self, sent: Input, answer: httpx.Response) -> list[str]:
        if answer.status_code >= 500:
            return [f"answered {answer.status_code} {answer.text[:300]}"]
        said = text_of(answer) if answer.content else ""  # a HEAD has none
        asked = sent.text()
        self._named |= {sign for sign in self.canaries if sign in asked}
        known = self._named if _LOOKS.search(sent.path) else self._written
        shown = [sign for sign in self.canaries if sign in said and sign not in asked and sign not in known]
        if sent.method != "GET" and answer.is_success:
            self._written |= {sign for sign in self.canaries if sign in asked}
        wrong = [f"shows {sign} of the other town" for sign in shown]
        if "set-cookie" in answer.headers or any(not value.isprintable() for value in answer.headers.values()):
            wrong.append(f"a header that was sent in: {dict(answer.headers)}")
        if answer.status_code >= 400 and not _is_problem(answer):
            wrong.append(f"a refusal of another shape: {answer.status_code} {answer.text[:300]}")
        return wrong


def _is_problem(answer: httpx.Response) -> bool:
    if answer.headers.get("content-type") != PROBLEM:
        return False
    if answer.request.method == "HEAD":
        return not answer.content
    body: dict[str, Any] = answer.json()
    return body["status"] == answer.status_code and bool(body["code"]) and bool(body["detail"])


def canaries(mine: Town, theirs: Town) -> list[str]:
    """What gives rows of the other town away: the word in all its texts, its ids, numbers, phones, cards."""
    county = {value for name, value in theirs.things.items() if mine.things.get(name) == value}
    ids = [value for name, value in theirs.things.items() if len(value) >= 5 and value not in county and name != "ref"]
    people = [theirs.id_number(n) for n in range(4)] + [theirs.phone(n) for n in range(1, 10)]
    return sorted({theirs.word, *ids, *people, *theirs.household_nos, *theirs.cadre_nos, *map(theirs.card, range(4))})
