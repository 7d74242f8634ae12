"""Rules of mandates: who gives one, what may be lent, for how long. All of it is ours; the seeds name the roles alone (XC-004)."""

from collections.abc import Collection, Sequence
from datetime import date

from shared.errors import Forbidden, NotFound, Refusal
from shared.roles import NEVER_LENT, Caller, Role
from shared.separation import same_side


class MandateUnknown(NotFound):
    code = "mandate_unknown"


class MandateChained(Forbidden):
    code = "mandate_chained"


class NotToLend(Forbidden):
    code = "not_to_lend"


class NotToEnd(Forbidden):
    code = "not_to_end"


class MandateToOneself(Refusal):
    code = "mandate_to_oneself"


class RoleNeverLent(Refusal):
    code = "role_never_lent"


class PeriodPast(Refusal):
    code = "period_past"


class PeriodTooLong(Refusal):
    code = "period_too_long"


class MandateThere(Refusal):
    code = "mandate_there"


class MandateEnded(Refusal):
    code = "mandate_ended"


def require_himself(caller: Caller) -> None:
    """Raises MandateChained when he stands in for somebody: what is lent is not lent on, nor taken back, by who borrowed it."""
    if len(caller.persons) > 1:
        raise MandateChained("Mandates are given and ended in one's own name. Leave the header Daohu-Acting-For out.")


def require_lender(
    caller: Caller, *, holder: str, absent: str, roles: Collection[Role], divisions: Sequence[str]
) -> None:
    """He lends what is his own; the county administrator, who gives roles, lends those of others, never to himself.

    Raises MandateChained, MandateToOneself, RoleNeverLent, NotToLend.
    """
    require_himself(caller)
    if same_side(holder, [absent]):
        raise MandateToOneself("Nobody stands in for himself. Name another person.")
    if never := sorted(NEVER_LENT.intersection(roles)):
        raise RoleNeverLent(
            f"These roles are given to a person and never lent: {', '.join(never)}. Leave them out.", roles=never
        )
    own = caller.subject == absent
    if not own and not caller.has(Role.COUNTY_ADMIN):
        raise NotToLend("You may lend your own roles alone. Ask the county administrator to lend those of another.")
    if not own and same_side(caller.subject, [holder]):
        raise MandateToOneself(
            "The administrator lends nobody's roles to himself. Let the absent person give the mandate."
        )
    if own and (more := sorted(set(roles) - caller.roles)):
        raise NotToLend(f"You do not hold these roles: {', '.join(more)}. Lend some of your own.", roles=more)
    require_area(caller, divisions)


def require_area(caller: Caller, divisions: Sequence[str]) -> None:
    """Raises NotToLend for a division outside the giver's own."""
    if outside := sorted(code for code in divisions if not caller.area.covers(code)):
        raise NotToLend(f"Not in your area: {', '.join(outside)}. Name divisions of your own.", divisions=outside)


def require_period(since: date, until: date, *, today: date, max_days: int) -> None:
    """First and last day are included. Raises PeriodPast, PeriodTooLong."""
    if since < today:
        raise PeriodPast("It holds from today on at the earliest. Nothing that was done is covered afterwards.")
    if (until - since).days + 1 > max_days:
        raise PeriodTooLong(
            f"It may hold for {max_days} days at most. Give another one when it is over.", max_days=max_days
        )


def require_alone(there: Sequence[tuple[date, date]], *, since: date, until: date) -> None:
    """Between two people one mandate holds on a day. Raises MandateThere."""
    if any(first <= until and since <= last for first, last in there):
        raise MandateThere("He stands in for this person in these days already. End that mandate first.")


def require_ender(caller: Caller, *, people: Collection[str]) -> None:
    """Who is party to it may end it, and the county administrator. Raises MandateChained, NotToEnd."""
    require_himself(caller)
    if caller.subject not in people and not caller.has(Role.COUNTY_ADMIN):
        raise NotToEnd("Who lends, who borrows and the county administrator may end a mandate.")
