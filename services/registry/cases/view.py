"""Between rows, the machine's values and the answers of the API: pure translation, no decisions."""

from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import RowMapping

from services.registry.cases.domain import Case, Finding, Verdict, may_act
from services.registry.cases.procedure import CaseKind, Procedure, StepKind
from services.registry.cases.schemas import CaseOut, CriterionOut, NoticeOut, ObjectionOut, StepOut, WaitsOut
from shared.roles import Caller

_PURPOSE = {
    CaseKind.IDENTIFICATION: ("识别为建档立卡贫困户", "be entered in the register of poor households"),
    CaseKind.EXIT: ("脱贫退出", "exit from poverty"),
}


def case_out(row: RowMapping, case: Case, acts: Sequence[RowMapping], *, caller: Caller, today: date) -> CaseOut:
    return CaseOut.model_validate(
        {
            **row,
            "waits": _waits(case, caller, today),
            "steps": _steps(case.procedure, acts),
            "objections": objections_of(acts),
        }
    )


def _waits(case: Case, caller: Caller, today: date) -> WaitsOut | None:
    step = case.step
    if step is None:
        return None
    return WaitsOut(
        step=step.key,
        name=step.name,
        name_en=step.name_en,
        kind=step.kind,
        level=step.level,
        actors=sorted(step.actors),
        yours=may_act(case, step, caller),
        quorum=step.quorum,
        checklist=[
            CriterionOut(key=c.key, name=c.name, name_en=c.name_en, answer=c.answer, test=c.test)
            for c in case.procedure.criteria_of(step)
        ],
        days=step.days,
        posted_on=case.posted_on,
        ends_on=case.ends_on,
        days_left=case.days_left(today),
        open_objections=case.open_objections,
    )


def _steps(procedure: Procedure, acts: Sequence[RowMapping]) -> list[StepOut]:
    decided = {act["step"]: act for act in acts if act["kind"] == "decision"}
    steps = []
    for step in procedure.steps:
        out = StepOut(key=step.key, name=step.name, name_en=step.name_en, kind=step.kind)
        if act := decided.get(step.key):
            out = out.model_copy(
                update={
                    "verdict": Verdict(act["verdict"]),
                    "reason": act["text"],
                    "by": act["actor"],
                    "on": act["on"],
                    "at": act["at"],
                }
            )
        steps.append(out)
    return steps


def objections_of(acts: Sequence[RowMapping]) -> list[ObjectionOut]:
    """The objections of a case with their answers, oldest first."""
    answers = {act["objection_ref"]: act for act in acts if act["kind"] == "answer"}
    objections = []
    for act in acts:
        if act["kind"] != "objection":
            continue
        out = ObjectionOut(ref=act["objection_ref"], step=act["step"], text=act["text"], raised_on=act["on"])
        if answer := answers.get(act["objection_ref"]):
            out = out.model_copy(
                update={"finding": Finding(answer["verdict"]), "answer": answer["text"], "answered_on": answer["on"]}
            )
        objections.append(out)
    return objections


def notice_out(row: RowMapping, procedure: Procedure, act: RowMapping) -> NoticeOut:
    """A notice from the act that posted it. The text holds no number of a person. Source: standards.md 4 (privacy)."""
    step = next(step for step in procedure.steps if step.key == act["step"])
    facts, posted_on = act["facts"], act["on"]
    ends_on = posted_on + timedelta(days=step.days)
    kind = CaseKind(row["kind"])
    zh, en = _PURPOSE[kind]
    head, people, village = facts["head_name_masked"], facts["people"], facts["division_name"]
    if step.kind is StepKind.PUBLICITY:
        text_zh = f"公示：{village}户主{head}，家庭人口{people}人，拟{zh}。公示期{posted_on}至{ends_on}，如有异议请在公示期内提出。"
        text_en = f"Publicity: the household of {head} in {village}, {people} people, is to {en}. From {posted_on} to {ends_on}; objections are heard until then."
    else:
        text_zh = f"公告：{village}户主{head}，家庭人口{people}人，经审定{zh}。公告期{posted_on}至{ends_on}。"
        text_en = f"Announcement: it was decided that the household of {head} in {village}, {people} people, shall {en}. From {posted_on} to {ends_on}."
    return NoticeOut(
        case_id=row["id"],
        kind=kind,
        step=step.key,
        division=row["division"],
        division_name=village,
        head_name_masked=head,
        people=people,
        place=facts["place"],
        posted_on=posted_on,
        ends_on=ends_on,
        text_zh=text_zh,
        text_en=text_en,
    )
