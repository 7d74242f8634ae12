"""Use cases of approvals: projects and tranches share them."""

from collections.abc import Sequence

from services.funds.approvals import domain, store
from services.funds.approvals.domain import APPLY, Chain, Decision, Verdict
from services.funds.approvals.schemas import DecisionIn, DecisionOut, NextOut
from shared.errors import FieldError, Malformed
from shared.ids import new_id
from shared.work import Work


def chain_of(work: Work, subject: str, division: str) -> Chain:
    """The control chain that the pack prescribes today for a subject (`project:<id>`, `tranche:<id>`) of a division."""
    chain = Chain.read(
        work.policies.value("funds.approval_chain", division, work.today),
        work.policies.value("funds.incompatible_roles", division, work.today),
    )
    return chain.of_projects() if subject.startswith("project:") else chain


async def apply(work: Work, subject: str, division: str) -> None:
    """Records the application (申报), the first act of the chain, by the caller."""
    await _take(work, subject, division, DecisionIn(act=APPLY, verdict=Verdict.PASS))


async def decide(work: Work, subject: str, division: str, order: DecisionIn) -> DecisionOut:
    """Records a decision when it is the caller's turn. Raises what `domain.require_turn` raises; 422 for a rejection without reason."""
    if order.verdict is Verdict.REJECT and not order.reason:
        raise Malformed(
            "Say why it is rejected.", errors=[FieldError("reason", "required", "A rejection needs a reason.")]
        )
    if order.act in (APPLY, domain.PAY):
        raise Malformed(
            "Applications are made by creating the object, payments by paying.",
            errors=[FieldError("act", "not_a_decision", "Name an act between application and payment.")],
        )
    return await _take(work, subject, division, order)


async def _take(work: Work, subject: str, division: str, order: DecisionIn) -> DecisionOut:
    before = await taken(work, subject)
    domain.require_turn(chain_of(work, subject, division), before, order.act, work.caller, division)
    decision = Decision(new_id(), order.act, order.verdict, work.caller.subject, work.today)
    if not await store.add(
        work.tx,
        subject=subject,
        division=division,
        place=len(before),
        taken=decision,
        reason=order.reason,
        decided_at=work.now,
    ):
        raise domain.OutOfTurn("Somebody decided at the same moment. Read it again and see whose turn it is.")
    return DecisionOut(
        id=decision.id,
        act=decision.act,
        verdict=decision.verdict,
        decider=decision.decider,
        reason=order.reason,
        decided_on=decision.decided_on,
    )


async def taken(work: Work, subject: str) -> list[Decision]:
    """The decisions on a subject so far, oldest first."""
    return [store.as_decision(row) for row in (await store.rows_of(work.tx, [subject], work.area)).get(subject, [])]


async def shown(work: Work, subjects: Sequence[str]) -> dict[str, list[DecisionOut]]:
    """Subject → its decisions, for answers; subjects without any are there with an empty list."""
    rows = await store.rows_of(work.tx, subjects, work.area)
    return {subject: [DecisionOut.model_validate(row) for row in rows.get(subject, [])] for subject in subjects}


def as_decisions(shown_decisions: Sequence[DecisionOut]) -> list[Decision]:
    return [Decision(d.id, d.act, d.verdict, d.decider, d.decided_on) for d in shown_decisions]


def next_of(chain: Chain, decisions: Sequence[Decision]) -> NextOut | None:
    step = chain.next_step(decisions)
    return NextOut(act=step.act, name=step.name, name_en=step.name_en, roles=sorted(step.roles)) if step else None


def said(decisions: Sequence[Decision]) -> list[dict[str, str]]:
    """The decisions as a ledger entry binds them."""
    return [
        {
            "id": str(d.id),
            "act": d.act,
            "verdict": d.verdict.value,
            "decider": d.decider,
            "decided_on": d.decided_on.isoformat(),
            "digest": d.digest,
        }
        for d in decisions
    ]
