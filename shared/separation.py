"""Incompatible acts (不相容岗位分离): who did one act on an object does not do the next; the person counts, not the roles of his token."""

from collections.abc import Iterable

from shared.errors import Refusal
from shared.roles import Caller, persons_of


class SamePerson(Refusal):
    """The caller, or the one he stands in for, did an earlier act that excludes this one."""

    code = "same_person"


def is_among(caller: Caller, earlier: Iterable[str]) -> bool:
    """Whether he is one of those who acted before, or stands in for one, or one of them stood in for him.

    `earlier`: actors as they are on record (`Caller.subject`).
    """
    return any(not caller.persons.isdisjoint(persons_of(actor)) for actor in earlier)


def require_other(caller: Caller, earlier: Iterable[str], refusal: SamePerson) -> None:
    """Raises the refusal when he is among those who acted before."""
    if is_among(caller, earlier):
        raise refusal
