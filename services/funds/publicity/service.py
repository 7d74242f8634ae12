"""Use cases of publicity: post a notice, object, answer."""

import hashlib
from datetime import date
from typing import Any
from uuid import UUID

from services.funds.approvals import service as approvals
from services.funds.approvals.domain import APPLY, require_alive
from services.funds.households import store as households
from services.funds.ledger.domain import canonical
from services.funds.projects import store as projects
from services.funds.publicity import domain, store
from services.funds.publicity.schemas import (
    AnswerIn,
    LineOut,
    NoticeIn,
    NoticeOut,
    ObjectionIn,
    ObjectionOut,
    ObjectionWords,
)
from services.funds.sources import store as sources
from services.funds.tranches import store as tranches
from shared.errors import Malformed, NotFound, Refusal
from shared.http import Page, PageQuery, Small, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.money import yuan
from shared.work import Work


class SubjectUnknown(NotFound):
    code = "subject_unknown"


class NoticeUnknown(NotFound):
    code = "notice_unknown"


class ObjectionUnknown(NotFound):
    code = "objection_unknown"


class AlreadyPublished(Refusal):
    code = "already_published"


class NothingToPublish(Refusal):
    code = "nothing_to_publish"


async def post_notice(work: Work, order: NoticeIn) -> NoticeOut:
    """Posts a notice (公示): its days start today, as many as the pack says for the subject's division.

    Source: FND-031; standards.md 5.1. Raises SubjectUnknown, AlreadyPublished, NothingToPublish, Rejected.
    """
    division, digest, content = await _subject(work, order.subject)
    require_alive(await approvals.taken(work, order.subject))
    row = {
        "id": new_id(),
        "subject": order.subject,
        "division": division,
        "place": order.place,
        "posted_on": work.today,
        "days": work.policies.value("funds.publicity_days", division, work.today),
        "digest": digest,
        "content": content,
        "posted_by": work.caller.subject,
        "posted_at": work.now,
    }
    if not await store.add_notice(work.tx, row):
        raise AlreadyPublished("It has its notice already. List the notices of this subject and let that one run.")
    return await show_notice(work, row["id"])


async def _subject(work: Work, subject: str) -> tuple[str, str, dict[str, Any]]:
    """What is published about a project or a tranche: its division, the digest, the content people read."""
    kind, _, id_ = subject.partition(":")
    if kind == "tranche" and (tranche := await tranches.find(work.tx, UUID(id_), work.area)):
        funds = await _funds(work, tranche["funds"])
        content = {
            "project_no": tranche["project_no"],
            "tranche_no": tranche["tranche_no"],
            "basis": tranche["basis"],
            "households": tranche["households"],
            "people": tranche["people"],
            "amount_fen": tranche["amount_fen"],
            "amount_yuan": yuan(tranche["amount_fen"]),
            "funds": funds,
        }
        return tranche["division"], tranche["digest"], content
    if kind == "project" and (project := await projects.find(work.tx, UUID(id_), work.area)):
        shares = (await projects.shares(work.tx, work.area, [project["project_no"]])).get(project["project_no"], [])
        if not shares:
            raise NothingToPublish("The project has no money yet. Publish it after its allocation.")
        content = {
            name: project[name]
            for name in ("project_no", "name", "kind", "description", "unit", "year", "performance_target")
        } | {
            "due_on": project["due_on"].isoformat(),
            "funds": await _funds(work, {share.fund_no: share.allocated_fen for share in shares}),
        }
        return project["division"], hashlib.sha256(canonical(content)).hexdigest(), content
    raise SubjectUnknown("There is no such project or tranche in your area.")


async def _funds(work: Work, amounts: dict[str, int]) -> list[dict[str, Any]]:
    known = await sources.names(work.tx, sorted(amounts))
    return [
        {"fund_no": fund_no, **known[fund_no], "amount_fen": fen, "amount_yuan": yuan(fen)}
        for fund_no, fen in sorted(amounts.items())
    ]


async def show_notice(work: Work, notice_id: UUID) -> NoticeOut:
    """A notice with the days it has left."""
    return _out(work, await _load(work, notice_id))


async def list_notices(work: Work, page: PageQuery, *, subject: str | None) -> Page[NoticeOut]:
    """The notices of the area, by the day they were posted."""
    after = None
    if page.after:
        day, last = decode_cursor(page.after, str, str)
        after = _position(day, last)
    rows = await store.page(work.tx, work.area, subject=subject, after=after, limit=page.limit + 1)
    rows, following = page_of(rows, page.limit, lambda row: encode_cursor(row["posted_on"].isoformat(), str(row["id"])))
    return Page(items=[_out(work, row) for row in rows], next=following)


def _position(day: str, last: str) -> tuple[date, UUID]:
    try:
        return date.fromisoformat(day), UUID(last)
    except ValueError:
        raise Malformed("Take the cursor from the page before, unchanged.") from None


async def list_lines(work: Work, notice_id: UUID, page: PageQuery) -> Page[LineOut]:
    """The published list of a tranche's notice: masked names, people, amounts. Empty for a project's notice."""
    notice = await _load(work, notice_id)
    kind, _, id_ = notice["subject"].partition(":")
    if kind != "tranche":
        return Page(items=[], next=None)
    after = decode_cursor(page.after, Small)[0] if page.after else 0
    rows = await tranches.lines(work.tx, UUID(id_), work.area, after=after, limit=page.limit + 1)
    rows, following = page_of(rows, page.limit, lambda row: encode_cursor(row["line"]))
    names = await households.division_names(work.tx, sorted({row["division"] for row in rows}))
    items = [
        LineOut(
            line=row["line"],
            division=row["division"],
            division_name=names.get(row["division"]),
            name_masked=row["head_name_masked"],
            people=row["people"],
            amount_fen=row["amount_fen"],
            amount_yuan=yuan(row["amount_fen"]),
        )
        for row in rows
    ]
    return Page(items=items, next=following)


async def raise_objection(work: Work, notice_id: UUID, order: ObjectionIn) -> ObjectionOut:
    """Objects to what a notice says (异议). While it is open, no money that waits for the notice passes."""
    await _load(work, notice_id)
    id_ = new_id()
    row = {
        "id": id_,
        "notice_id": notice_id,
        "text_sealed": work.vault.seal(order.text, column="objection.text", row=id_),
        "raised_by": work.caller.subject,
        "raised_on": work.today,
        "raised_at": work.now,
    }
    await store.add_objection(work.tx, row)
    return ObjectionOut.model_validate(await _objection(work, notice_id, id_))


async def answer_objection(work: Work, notice_id: UUID, objection_id: UUID, order: AnswerIn) -> ObjectionOut:
    """Answers an objection, by another person than who raised it or applied. Upheld, the subject must not be carried out.

    Raises ObjectionUnknown, SamePerson, AlreadyAnswered.
    """
    row = await _objection(work, notice_id, objection_id)
    decisions = await approvals.taken(work, (await _load(work, notice_id))["subject"])
    domain.require_answerable(
        raised_by=row["raised_by"],
        applied_by=[decision.decider for decision in decisions if decision.act == APPLY],
        answered=row["finding"] is not None,
        answering=work.caller.subject,
    )
    changes = {
        "finding": order.finding.value,
        "answer_sealed": work.vault.seal(order.text, column="objection.answer", row=objection_id),
        "answered_by": work.caller.subject,
        "answered_on": work.today,
        "answered_at": work.now,
    }
    if not await store.answer(work.tx, objection_id, changes):
        raise domain.already_answered()
    return ObjectionOut.model_validate(row | changes)


async def list_objections(work: Work, notice_id: UUID, page: PageQuery) -> Page[ObjectionWords]:
    """The objections to a notice and their answers, in the order raised."""
    await _load(work, notice_id)
    after = decode_cursor(page.after, Small)[0] if page.after else 0
    rows = await store.objections(work.tx, notice_id, work.area, after=after, limit=page.limit + 1)
    rows, following = page_of(rows, page.limit, lambda row: encode_cursor(row["number"]))
    return Page(items=[_words(work, row) for row in rows], next=following)


async def _objection(work: Work, notice_id: UUID, objection_id: UUID) -> dict[str, Any]:
    if found := await store.find_objection(work.tx, notice_id, objection_id, work.area):
        return found
    raise ObjectionUnknown("There is no such objection in your area.")


async def _load(work: Work, notice_id: UUID) -> dict[str, Any]:
    if found := await store.find_notice(work.tx, notice_id, work.area):
        return found
    raise NoticeUnknown("There is no such notice in your area.")


def _out(work: Work, row: dict[str, Any]) -> NoticeOut:
    notice = store.as_notice(row)
    return NoticeOut.model_validate({**row, "ends_on": notice.ends_on, "days_left": notice.days_left(work.today)})


def _words(work: Work, row: dict[str, Any]) -> ObjectionWords:
    words, sealed = work.vault.open_if_here, row["answer_sealed"]
    text = words(row["text_sealed"], column="objection.text", row=row["id"])
    answer = sealed and words(sealed, column="objection.answer", row=row["id"])
    return ObjectionWords.model_validate({**row, "text": text, "answer": answer})
