"""Use cases of cases: load, ask the machine, write the act, and what the last act makes of the household."""

from datetime import date
from fractions import Fraction
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping

from services.registry.cases import domain, store, view
from services.registry.cases.domain import (
    Act,
    Attendance,
    Case,
    CaseState,
    Circumstances,
    Decision,
    Notice,
    Objection,
    ObjectionReply,
    Reply,
    Verdict,
)
from services.registry.cases.procedure import CaseKind, read_procedure
from services.registry.cases.schemas import (
    CaseIn,
    CaseItem,
    CaseOut,
    DecisionIn,
    NoticeIn,
    NoticeOut,
    ObjectionIn,
    ObjectionOut,
    ObjectionReplyIn,
)
from services.registry.client_refs import first_answer
from services.registry.divisions import service as divisions
from services.registry.households import service as households
from shared.errors import NotFound, Refusal, Stale
from shared.events.registry import HouseholdExited, HouseholdIdentified
from shared.http import Match, Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.scope import Area
from shared.work import Work


class CaseUnknown(NotFound):
    code = "case_unknown"


class CaseOpen(Refusal):
    code = "case_open"


class IncomeYearOut(Refusal):
    code = "income_year_not_open"


async def open_case(work: Work, order: CaseIn) -> CaseOut:
    """Opens a case, which takes its first step: the application (申请).

    Raises: CaseOpen, WrongStatus, IdentifiedSameYear, NotYourStep, NotFound, ClientRefTaken, PolicyMissing.
    """
    if order.client_ref and (first := await store.find_by_client_ref(work.tx, work.caller.client, order.client_ref)):
        return await first_answer(show_case(work, first))
    household = await _household(work, order)
    if running := await store.open_case_of(work.tx, household.id, work.area):
        raise CaseOpen(
            f"The case {running['case_no']} of this household is open. End it first.",
            case_id=str(running["id"]),
            case_no=running["case_no"],
        )
    pack = work.policies.value(order.kind.policy, household.division, work.today)
    if order.kind is CaseKind.IDENTIFICATION:
        domain.require_identifiable(household.status)
    else:
        domain.require_exitable(
            household.status, household.identified_on, work.today, same_year_allowed=pack["same_year_allowed"]
        )
    procedure = read_procedure(pack)
    application = Decision(procedure.steps[0].key, Verdict.PASS)
    case = domain.act(
        Case(procedure, household.division),
        application,
        caller=work.caller,
        today=work.today,
        known=Circumstances(Fraction(1)),
    )
    id, number = new_id(), await store.count_cases_of(work.tx, household.id) + 1
    await store.add_case(
        work.tx,
        id=id,
        case_no=f"{household.household_no}-{number}",
        kind=order.kind,
        household_id=household.id,
        household_no=household.household_no,
        division=household.division,
        state=case.state,
        step=case.step.key if case.step else None,
        procedure=pack,
        opened_on=work.today,
        client=work.caller.client,
        client_ref=order.client_ref,
        version=1,
    )
    await _keep(work, id, 1, application, application.step, text=order.reason)
    return await show_case(work, id)


async def decide(work: Work, case_id: UUID, order: DecisionIn, match: Match) -> CaseOut:
    """Passes or rejects the step that waits. The last step's pass changes the household's status.

    Raises: what domain.act raises; Stale, CaseUnknown.
    """
    row, case = await _load(work, case_id)
    match(row["version"])
    decision = Decision(
        order.step,
        order.verdict,
        Attendance(order.attendance.present, order.attendance.total) if order.attendance else None,
        tuple(Reply(reply.key, reply.answer, reply.evidence) for reply in order.checklist),
    )
    known, facts = await _circumstances(work, row, case, order)
    after = domain.act(case, decision, caller=work.caller, today=work.today, known=known)
    await _move(work, row, after, decision, order.step, text=order.reason, facts=facts)
    if after.state is CaseState.PASSED:
        await _conclude(work, row, after)
    return await show_case(work, case_id)


async def post_notice(work: Work, case_id: UUID, order: NoticeIn, match: Match) -> NoticeOut:
    """Posts the notice of the step that waits (张榜); today is its day 0. It keeps what hung on the board."""
    row, case = await _load(work, case_id)
    match(row["version"])
    after = domain.act(case, Notice(order.step), caller=work.caller, today=work.today, known=Circumstances(Fraction(1)))
    household = await households.load(work, row["household_id"])
    village = await divisions.show(work, household.division)
    facts = {
        "place": order.place,
        "division_name": village.name,
        "people": household.people,
        "head_name_masked": household.head_name_masked,
    }
    await _move(work, row, after, Notice(order.step), order.step, facts=facts)
    return (await list_notices(work, case_id))[-1]


async def object_to(work: Work, case_id: UUID, order: ObjectionIn) -> ObjectionOut:
    """Records an objection (异议). While it is open, the case does not go on."""
    row, case = await _load(work, case_id, lock=True)
    acts = await store.acts_of(work.tx, case_id, work.area)
    objection = Objection(1 + sum(act["kind"] == "objection" for act in acts))
    after = domain.act(case, objection, caller=work.caller, today=work.today, known=Circumstances(Fraction(1)))
    await _move(work, row, after, objection, row["step"], text=order.text)
    return await _objection(work, case_id, objection.ref)


async def answer_objection(work: Work, case_id: UUID, ref: int, order: ObjectionReplyIn) -> ObjectionOut:
    """Answers an objection: dismissed, or upheld, which leaves only the rejection of the step."""
    row, case = await _load(work, case_id, lock=True)
    reply = ObjectionReply(ref, order.finding)
    after = domain.act(case, reply, caller=work.caller, today=work.today, known=Circumstances(Fraction(1)))
    await _move(work, row, after, reply, row["step"], text=order.text)
    return await _objection(work, case_id, ref)


async def show_case(work: Work, case_id: UUID) -> CaseOut:
    row, case = await _load(work, case_id)
    acts = await store.acts_of(work.tx, case_id, work.area)
    return view.case_out(row, case, acts, caller=work.caller, today=work.today)


async def list_cases(
    work: Work,
    page: PageQuery,
    *,
    kind: CaseKind | None,
    state: CaseState | None,
    division: str | None,
    household_id: UUID | None,
) -> Page[CaseItem]:
    rows = await store.list_cases(
        work.tx,
        work.area,
        kind=kind,
        state=state,
        within=Area.of([division]) if division else None,
        household_id=household_id,
        after=decode_cursor(page.after, str)[0] if page.after else None,
        limit=page.limit,
    )
    shown, following = page_of(
        [CaseItem.model_validate(dict(row)) for row in rows], page.limit, lambda case: encode_cursor(case.case_no)
    )
    return Page(items=shown, next=following)


async def list_notices(work: Work, case_id: UUID) -> list[NoticeOut]:
    """The notices of a case as they hung on the board, oldest first."""
    row, case = await _load(work, case_id)
    acts = await store.acts_of(work.tx, case_id, work.area)
    return [view.notice_out(row, case.procedure, act) for act in acts if act["kind"] == "notice"]


async def _household(work: Work, order: CaseIn) -> households.HouseholdFile:
    if order.household is None:
        assert order.household_id is not None
        return await households.load(work, order.household_id)
    return await households.add_candidate(work, order.household)


async def _load(work: Work, case_id: UUID, *, lock: bool = False) -> tuple[RowMapping, Case]:
    """The case and its row. `lock`: nobody else moves it until the end of the transaction."""
    row = await store.find_case(work.tx, case_id, work.area, lock=lock)
    if row is None:
        raise CaseUnknown("There is no such case in your area.")
    acts = await store.acts_of(work.tx, case_id, work.area)
    return row, domain.replay(read_procedure(row["procedure"]), row["division"], [store.done(act) for act in acts])


async def _circumstances(
    work: Work, row: RowMapping, case: Case, order: DecisionIn
) -> tuple[Circumstances, dict[str, Any]]:
    """What the decision needs to know, and what of it is kept with the act."""
    share = work.policies.value("registry.review_quorum", row["division"], row["opened_on"])
    quorum = Fraction(share["numerator"], share["denominator"])
    facts: dict[str, Any] = {}
    if order.attendance:
        facts["attendance"] = order.attendance.model_dump()
    if order.checklist:
        facts["checklist"] = [reply.model_dump(mode="json") for reply in order.checklist]
    if case.step is None or order.verdict is Verdict.REJECT:
        return Circumstances(quorum), facts
    if not any(criterion.test for criterion in case.procedure.criteria_of(case.step)):
        return Circumstances(quorum), facts
    year = order.income_year or work.today.year
    if year not in (work.today.year, work.today.year - 1):
        raise IncomeYearOut("The income must be of this year or the last.", this_year=work.today.year)
    line_fen: int = work.policies.value("registry.income_line", row["division"], date(year, 12, 31))
    income_fen = await households.income_fen(work, row["household_id"], year)
    facts |= {"income_year": year, "income_fen": income_fen, "line_fen": line_fen}
    return Circumstances(quorum, income_fen, line_fen), facts


async def _move(
    work: Work,
    row: RowMapping,
    after: Case,
    act: Act,
    step: str,
    *,
    text: str | None = None,
    facts: dict[str, Any] | None = None,
) -> None:
    """Writes the act and what the case has become. The row goes first: of two at a time the second finds another version."""
    closed_on = None if after.step else work.today
    moved = await store.move_case(
        work.tx,
        row["id"],
        seen=row["version"],
        state=after.state,
        step=after.step.key if after.step else None,
        decided_on=after.decided_on,
        closed_on=closed_on,
    )
    if not moved:
        raise Stale("Somebody changed it since you read it. Read it again.")
    await _keep(work, row["id"], row["version"] + 1, act, step, text=text, facts=facts)


async def _keep(
    work: Work,
    case_id: UUID,
    seq: int,
    act: Act,
    step: str,
    *,
    text: str | None = None,
    facts: dict[str, Any] | None = None,
) -> None:
    """Adds the act to the case's record. Its sequence number is the version it made."""
    kind, verdict, ref = store.columns(act)
    await store.add_act(
        work.tx,
        case_id=case_id,
        seq=seq,
        kind=kind,
        step=step,
        verdict=verdict,
        objection_ref=ref,
        text=text or None,
        facts=facts or {},
        actor=work.caller.subject,
        on=work.today,
        at=work.now,
    )


async def _conclude(work: Work, row: RowMapping, case: Case) -> None:
    """The last step is passed: the household is on the register (纳入), or has exited (脱贫)."""
    assert case.decided_on is not None
    on, id = case.decided_on, row["household_id"]
    if row["kind"] == CaseKind.IDENTIFICATION:
        file = await households.register(work, id, on=on, case_no=row["case_no"])
        fact: HouseholdIdentified | HouseholdExited = HouseholdIdentified(
            household_id=id,
            household_no=file.household_no,
            division=file.division,
            people=file.people,
            case_id=row["id"],
            decided_on=on,
        )
    else:
        file = await households.mark_exited(work, id, on=on, case_no=row["case_no"])
        fact = HouseholdExited(
            household_id=id,
            household_no=file.household_no,
            division=file.division,
            people=file.people,
            case_id=row["id"],
            decided_on=on,
        )
    work.record(fact, division=file.division, version=file.version)


async def _objection(work: Work, case_id: UUID, ref: int) -> ObjectionOut:
    acts = await store.acts_of(work.tx, case_id, work.area)
    return next(objection for objection in view.objections_of(acts) if objection.ref == ref)
