"""What opened the door (审批、公示、异议): the rows of decisions, notices and objections against what entries bind of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from services.funds.approvals.domain import BOUND
from services.funds.ledger.domain import EntryMalformed, row_digest
from services.funds.proofs.books import Source
from services.funds.proofs.stretch import Bound
from services.funds.proofs.verify import Report
from services.funds.publicity.domain import NOTICE_BOUND, OBJECTION_BOUND

_PLAIN = ("act", "verdict", "decider", "decided_on")
"""What every entry says of a decision, beside its digest (entries of version 1: without it)."""

_NOTICE_PLAIN = ("posted_on", "days", "digest")
_CLOSING = frozenset({"paid", "allocated"})
"""Entries after the last decision on their subject."""


async def check(source: Source, book: str, bound: Sequence[Bound], report: Report) -> None:
    """Names the first entry whose decision, notice or objection is missing, was changed, or was put in afterwards."""
    decisions = _rows(BOUND, await source.rows("decisions", book))
    notices = _rows(NOTICE_BOUND, await source.rows("notices", book))
    objections = _rows(OBJECTION_BOUND, await source.rows("objections"))
    _Acts(report, decisions, notices, objections).check(bound)


class _Acts:
    def __init__(
        self, report: Report, decisions: Sequence[dict[str, Any]], notices: Sequence[dict[str, Any]], objections: Sequence[dict[str, Any]]
    ) -> None:  # fmt: skip
        self.report = report
        self.decisions = {row["id"]: row for row in decisions}
        self.notices = {row["id"]: row for row in notices}
        self.objections: dict[str, list[dict[str, Any]]] = {}
        for row in objections:
            self.objections.setdefault(row["notice_id"], []).append(row)
        self.named: set[str] = set()
        for what, rows in (("decision", decisions), ("notice", notices), ("objection", objections)):
            if len({row["id"] for row in rows}) != len(rows):
                report.wrong(None, f"one {what} is there twice")

    def check(self, bound: Sequence[Bound]) -> None:
        decided: set[str] = set()
        noticed: set[str] = set()
        closed: dict[str, Bound] = {}
        for entry in bound:
            for said in entry.approvals:
                decided.add(said["id"])
                row = self.decisions.get(said["id"])
                if what := _decision_problem(said, row):
                    self._wrong(entry.seq, said["id"], f"decision {said['id']} ({said['act']}), which it binds, {what}")
                if row is not None and entry.kind in _CLOSING:
                    closed.setdefault(row["subject"], entry)
            if entry.notice is not None:
                noticed.add(entry.notice["id"])
                self._notice(entry, entry.notice)
        for id, row in self.decisions.items():
            after = closed.get(row["subject"])
            if id not in decided and after is not None and str(row["decided_at"]) <= after.recorded_at:
                self._wrong(after.seq, id, f"decision {id} ({row['act']}) on its subject was put in after it")
        if free := len(self.decisions.keys() - decided) + len(self.notices.keys() - noticed):
            self.report.notes.append(f"{free} decisions and notices are bound by no entry yet: nothing covers them")

    def _notice(self, entry: Bound, said: Mapping[str, Any]) -> None:
        row = self.notices.get(said["id"])
        if row is None:
            return self._wrong(entry.seq, said["id"], f"notice {said['id']}, which it binds, is missing")
        same = all(said[name] == row[name] for name in _NOTICE_PLAIN)
        if not same or said.get("record") not in (None, _digest(row, NOTICE_BOUND)):
            self._wrong(entry.seq, said["id"], f"notice {said['id']}, which it binds, was changed")
        if entry.kind not in _CLOSING:
            return None  # an objection may be answered after a refusal
        rows = self.objections.get(said["id"], [])
        for number, digest in enumerate(said.get("objections", ())):
            if number >= len(rows) or _digest(rows[number], OBJECTION_BOUND) != digest:
                what = f"objection {number + 1} to notice {said['id']}, which it binds, was changed or is missing"
                self._wrong(entry.seq, f"{said['id']} {number}", what)
        return None

    def _wrong(self, seq: int, about: str, what: str) -> None:
        """Each row is named once, by the first entry that binds it."""
        if about not in self.named:
            self.named.add(about)
            self.report.wrong(seq, what)


def _decision_problem(said: Mapping[str, str], row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "is missing"
    same = all(said[name] == row[name] for name in _PLAIN) and said.get("digest") in (None, _digest(row, BOUND))
    return "" if same else "was changed"


def _digest(row: Mapping[str, Any], bound: Sequence[str]) -> str:
    try:
        return row_digest(row, bound)
    except EntryMalformed:  # somebody put there what no row of ours holds
        return ""


def _rows(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """Rows as those who bound them saw them: ids written the one way, what is published read from its text."""
    made = []
    for row in rows:
        said = dict(zip(names, tuple(row), strict=True))
        for name in said.keys() & {"id", "notice_id"}:
            said[name] = _id(said[name])
        if isinstance(said.get("content"), str):
            said["content"] = _read(said["content"])
        made.append(said)
    return made


def _id(value: Any) -> str:
    try:
        return str(UUID(str(value)))
    except ValueError:
        return str(value)


def _read(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return text
