"""What opened the door (审批、公示、异议): the rows of decisions, notices, objections and projects against what entries bind of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from services.funds.approvals.domain import APPLY, BOUND, Verdict
from services.funds.ledger.domain import EntryMalformed, row_digest
from services.funds.projects.domain import PROJECT_BOUND
from services.funds.projects.domain import subject_of as project_subject
from services.funds.proofs.books import Source
from services.funds.proofs.lists import LIST, PAID
from services.funds.proofs.stretch import Bound
from services.funds.proofs.verify import Report
from services.funds.publicity.domain import NOTICE_BOUND, OBJECTION_BOUND

_PLAIN = ("act", "verdict", "decider", "decided_on")
"""What every entry says of a decision, beside its digest (entries of version 1: without it)."""

_NOTICE_PLAIN = ("posted_on", "days", "digest")
_TRANCHE = ("id", "tranche_no", "project_id", "created_by", "applied_on", "created_at")
ALLOCATED = "allocated"
_CLOSING = frozenset({PAID, ALLOCATED})
"""Entries after the last decision on their subject."""

MIN_ACTS = 2
"""An application and one act that approves it, at the least; how many more is the pack's."""

DIGESTS_SINCE = 2
"""The version from which an entry's decisions and notice carry the digests of their rows."""

Row = dict[str, Any]


async def check(
    source: Source, book: str, bound: Sequence[Bound], report: Report, unopened: Sequence[int] = ()
) -> None:
    """Names the first entry whose decision, notice, objection or project is missing, was changed, or was put in afterwards.

    And payments that nothing of that let through: `unopened`, the entries that pay households and do not bind decisions, notice and
    list; and those whose notice or decisions do not stand for it.
    """
    rows = {
        "decision": _rows(BOUND, await source.rows("decisions", book)),
        "notice": _rows(NOTICE_BOUND, await source.rows("notices", book)),
        "objection": _rows(OBJECTION_BOUND, await source.rows("objections")),
        "project": _rows(PROJECT_BOUND, await source.rows("projects", book)),
        "tranche": _rows(_TRANCHE, await source.rows("tranches", book)),
    }
    acts = _Acts(report, rows)
    acts.check(bound)
    acts.check_unopened(unopened)


class _Acts:
    def __init__(self, report: Report, rows: Mapping[str, Sequence[Row]]) -> None:
        self.report = report
        self.decisions = {row["id"]: row for row in rows["decision"]}
        self.applied = {row["subject"]: row for row in rows["decision"] if row["act"] == APPLY}
        self.notices = {row["id"]: row for row in rows["notice"]}
        self.projects = {row["project_no"]: row for row in rows["project"]}
        self.tranches = {row["tranche_no"]: row for row in rows["tranche"]}
        self.objections: dict[str, list[Row]] = {}
        for row in rows["objection"]:
            self.objections.setdefault(row["notice_id"], []).append(row)
        self.decided: set[str] = set()
        self.noticed: set[str] = set()
        self.closed: dict[str, Bound] = {}
        self.named: set[str] = set()
        self.version = 0
        self.projects_are_bound = False
        for what, found in rows.items():
            if len({row["id"] for row in found}) != len(found):
                report.wrong(None, f"one {what} is there twice")

    def check(self, bound: Sequence[Bound]) -> None:
        for entry in bound:
            try:
                self._entry(entry)
            except (KeyError, TypeError, AttributeError):
                self.report.wrong(entry.seq, "what it binds cannot be read")
        for id, row in self.decisions.items():
            after = self.closed.get(row["subject"])
            if id not in self.decided and after is not None and str(row["decided_at"]) <= after.recorded_at:
                self._wrong(after.seq, id, f"decision {id} ({row['act']}) on its subject was put in after it")
        if free := len(self.decisions.keys() - self.decided) + len(self.notices.keys() - self.noticed):
            self.report.notes.append(f"{free} decisions and notices are bound by no entry yet: nothing covers them")

    def _entry(self, entry: Bound) -> None:
        subject = self._subject(entry)
        for said in entry.approvals:
            self.decided.add(said["id"])
            row = self.decisions.get(said["id"])
            if what := _decision_problem(entry, said, row, subject):
                self._wrong(entry.seq, said["id"], f"decision {said['id']} ({said['act']}), which it binds, {what}")
            if row is not None and entry.kind in _CLOSING:
                self.closed.setdefault(row["subject"], entry)
        if entry.notice is not None:
            self.noticed.add(entry.notice["id"])
            self._notice(entry, entry.notice, subject)
        if entry.version < self.version:
            self._wrong(entry.seq, f"entry {entry.seq}", "it is written the old way, after entries of the new one")
        elif entry.kind in _CLOSING and (what := _shut(entry)):
            self._wrong(entry.seq, f"entry {entry.seq}", what)
        self.version = max(self.version, entry.version)

    def check_unopened(self, unopened: Sequence[int]) -> None:
        """Of a book in which nobody decides anything it is said; anywhere else it is wrong."""
        if unopened and not self.decisions:
            said = f"from entry {unopened[0]} on households are paid, and in this book nobody decides"
            self.report.notes.append(said)
            return
        for seq in unopened:
            self.report.wrong(
                seq, "it pays households and binds no decisions, no notice or no list: nothing let it through"
            )

    def _subject(self, entry: Bound) -> str:
        """What its decisions and its notice must be about, whose row is checked; "" when there is no such row."""
        if LIST in entry.details:
            return self._tranche(entry, entry.details.get("tranche_no"))
        return self._project(entry, entry.details.get("project_no")) if entry.kind == ALLOCATED else ""

    def _tranche(self, entry: Bound, number: Any) -> str:
        """Who applied for it and when says its first decision, too; whose it is, its project's number."""
        if (row := self.tranches.get(number)) is None:
            return ""  # named with its list
        project, subject = self.projects.get(entry.details.get("project_no")), f"tranche:{row['id']}"
        applied = self.applied.get(subject, {})
        made = [row[name] for name in ("created_by", "applied_on", "created_at")]
        if applied and made != [applied[name] for name in ("decider", "decided_on", "decided_at")]:
            self._wrong(entry.seq, subject, f"tranche {number}, which it binds, was changed")
        elif project is None or project["id"] != _id(row["project_id"]):
            self._wrong(entry.seq, subject, f"tranche {number}, which it binds, is of another project")
        return subject

    def _project(self, entry: Bound, number: Any) -> str:
        row, digest = self.projects.get(number), entry.details.get("project_digest")
        if row is None:
            if self.decisions:
                self._wrong(entry.seq, f"project {number}", f"project {number}, which it binds, is missing")
            return ""
        if digest is None:
            changed = self.projects_are_bound
        else:
            changed, self.projects_are_bound = digest != _digest(row, PROJECT_BOUND), True
        if changed:
            self._wrong(entry.seq, f"project {number}", f"project {number}, which it binds, was changed")
        return project_subject(row["id"])

    def _notice(self, entry: Bound, said: Mapping[str, Any], subject: str) -> None:
        row = self.notices.get(said["id"])
        if row is None:
            return self._wrong(entry.seq, said["id"], f"notice {said['id']}, which it binds, is missing")
        same = all(said[name] == row[name] for name in _NOTICE_PLAIN) and row["subject"] == (subject or row["subject"])
        if not same or not _holds(entry, said.get("record"), row, NOTICE_BOUND):
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


def _decision_problem(entry: Bound, said: Mapping[str, str], row: Row | None, subject: str) -> str:
    if row is None:
        return "is missing"
    if subject and row["subject"] != subject:
        return "is about something else"
    same = all(said[name] == row[name] for name in _PLAIN)
    return "" if same and _holds(entry, said.get("digest"), row, BOUND) else "was changed"


def _holds(entry: Bound, digest: str | None, row: Row, columns: Sequence[str]) -> bool:
    """Whether the row is the one of that digest; an entry of before has none."""
    return entry.version < DIGESTS_SINCE if digest is None else digest == _digest(row, columns)


def _shut(entry: Bound) -> str:
    """Why what it binds lets no money through, whoever may say yes; "" when it does. Source: FND-019, FND-028, FND-031."""
    acts = {said["act"] for said in entry.approvals}
    if any(said["verdict"] != Verdict.PASS for said in entry.approvals) or APPLY not in acts or len(acts) < MIN_ACTS:
        return "the decisions that it binds do not approve it"
    if entry.kind != PAID or (notice := entry.notice) is None:
        return ""
    if notice["digest"] != entry.details.get(LIST):
        return "the notice that it binds published another list"
    if notice["ends_on"] > entry.effective_on or notice["open_objections"]:
        return "the notice that it binds had not run its days, or an objection was open"
    return ""


def _digest(row: Mapping[str, Any], bound: Sequence[str]) -> str:
    try:
        return row_digest(row, bound)
    except EntryMalformed:  # somebody put there what no row of ours holds
        return "-"


def _rows(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Row]:
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
