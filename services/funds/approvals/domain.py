"""The control chain (审批链): which act comes next on an object, who may do it, and that nobody does two that exclude each other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any
from uuid import UUID

from shared.errors import Forbidden, Refusal
from shared.roles import Caller, Role
from shared.scope import Level, at_level
from shared.separation import SamePerson, same_side

APPLY, PAY = "apply", "pay"
"""The first act of a chain (申报) and the one that only money may follow (拨付); the acts between come from the pack."""

RELEASE = "release"
"""The act (放行) by which a third person lets a tranche's payment go, where the pack's chain has it: the last before `pay`."""

HOLD, PAYEES = "hold", "payees"
"""What prepares a payment beside the chain: setting the money aside (预留), entering the accounts (收款账户)."""


class Verdict(StrEnum):
    """审批意见. A rejection ends the object's chain; a corrected one is applied for anew."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    REJECT = "reject"


class OutOfTurn(Refusal):
    code = "out_of_turn"


class Rejected(Refusal):
    code = "rejected"


class NotApproved(Refusal):
    code = "not_approved"


class NotYourStep(Forbidden):
    code = "not_your_step"


@dataclass(frozen=True, slots=True)
class Step:
    """One act of the chain: its name, the level whose area the actor must hold, and the roles that may do it."""

    act: str
    name: str
    name_en: str
    level: Level
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class Decision:
    """A recorded act: who, when (business date), with which verdict; and the digest of all that was recorded of it."""

    id: UUID
    act: str
    verdict: Verdict
    decider: str
    decided_on: date
    digest: str = ""


BOUND = ("id", "subject", "division", "place", "act", "verdict", "decider", "reason", "decided_on", "decided_at")
"""The columns of a decision that the entry it opens the door to binds by their digest: all of them."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The acts in order, and the pairs of acts that one person may not both do on one object."""

    steps: tuple[Step, ...]
    incompatible: frozenset[frozenset[str]]

    @classmethod
    def read(cls, steps: Sequence[Mapping[str, Any]], incompatible: Sequence[Sequence[str]]) -> "Chain":
        """From the pack's values `funds.approval_chain` and `funds.incompatible_roles` (FND-019, FND-029)."""
        return cls(
            tuple(
                Step(s["act"], s["name"], s["name_en"], Level(s["level"]), frozenset(Role(r) for r in s["roles"]))
                for s in steps
            ),
            frozenset(frozenset(pair) for pair in incompatible),
        )

    def step(self, act: str) -> Step | None:
        return next((step for step in self.steps if step.act == act), None)

    def next_step(self, decisions: Sequence[Decision]) -> Step | None:
        """The act whose turn it is, or None when the chain is done or was ended by a rejection."""
        if any(d.verdict is Verdict.REJECT for d in decisions):
            return None
        done = {d.act for d in decisions}
        return next((step for step in self.steps if step.act not in done), None)

    def excluded(self, act: str, decisions: Iterable[Decision], prepared: Iterable[tuple[str, str]] = ()) -> set[str]:
        """The people whose earlier act excludes them from this one. `prepared`: acts beside the decisions, and who did them."""
        done = [(d.act, d.decider) for d in decisions] + list(prepared)
        return {actor for earlier, actor in done if frozenset((earlier, act)) in self.incompatible}

    def of_projects(self) -> "Chain":
        """The chain of what is approved and not itself paid: nothing of it is released."""
        return replace(self, steps=tuple(step for step in self.steps if step.act != RELEASE))


def require_turn(chain: Chain, decisions: Sequence[Decision], act: str, caller: Caller, division: str) -> None:
    """Lets a caller do an act on an object of a division (12 digits).

    Source: FND-019, FND-029; architecture.md 5 (who applied does not approve, who approved does not pay).
    Raises: Rejected, OutOfTurn (with `next`), NotYourStep (403), SamePerson.
    """
    require_alive(decisions)
    following = chain.next_step(decisions)
    if following is None or following.act != act:
        expected = following.act if following else None
        raise OutOfTurn(f"The next act is {expected}." if expected else "Every act is done.", next=expected)
    require_right(following, caller, division)
    require_other_person(chain, decisions, act, caller.subject)


def require_alive(decisions: Iterable[Decision]) -> None:
    """Raises Rejected once somebody rejected the object."""
    if any(d.verdict is Verdict.REJECT for d in decisions):
        raise Rejected("It was rejected. Apply anew with what the rejection asked for.")


def require_right(step: Step, caller: Caller, division: str) -> None:
    """The caller holds a role of the step, for an area that covers the object's division at the step's level.

    Raises NotYourStep (403).
    """
    if not caller.has(*step.roles):
        raise NotYourStep(
            f"{step.name_en} needs one of the roles " + ", ".join(sorted(step.roles)) + ".", needs=sorted(step.roles)
        )
    where = at_level(division, step.level) or division
    if not caller.area.covers(where):
        raise NotYourStep(f"{step.name_en} is done at the level {step.level}.", level=step.level.value)


def require_payer(chain: Chain, caller: Caller, division: str) -> None:
    """The caller holds a role of the chain's payment, or is the county administrator, for an area at its level.

    Raises NotYourStep (403).
    """
    paying = chain.step(PAY)
    assert paying is not None, "every chain ends with the payment (shared/policy_shapes.py)"
    require_right(replace(paying, roles=paying.roles | {Role.COUNTY_ADMIN}), caller, division)


def require_other_person(
    chain: Chain, decisions: Iterable[Decision], act: str, person: str, prepared: Iterable[tuple[str, str]] = ()
) -> None:
    """Raises SamePerson when this person did an act that excludes the new one."""
    if same_side(person, chain.excluded(act, decisions, prepared)):
        raise SamePerson(f"You did an earlier act that excludes `{act}`. Let another person do it.", act=act)


def require_approved(chain: Chain, decisions: Sequence[Decision]) -> None:
    """Every act before payment has passed. Raises Rejected, NotApproved (with `next`)."""
    require_alive(decisions)
    following = chain.next_step(decisions)
    if following is not None and following.act != PAY:
        raise NotApproved(f"It is not approved yet. Next: {following.act}.", next=following.act)


def state(chain: Chain, decisions: Sequence[Decision]) -> str:
    """`rejected`, `approved` (only payment is left), or the last act that was done, e.g. `apply`, `review`."""
    if any(d.verdict is Verdict.REJECT for d in decisions):
        return "rejected"
    following = chain.next_step(decisions)
    if following is None or following.act == PAY:
        return "approved"
    return decisions[-1].act if decisions else APPLY
