"""Incompatible acts (不相容岗位分离): who did one act on an object does not do the next; the person counts, not the roles of his token."""

from collections.abc import Iterable

from shared.errors import Refusal
from shared.roles import persons_of


class SamePerson(Refusal):
    """The caller, or whom he stands in for, did an earlier act that excludes this one."""

    code = "same_person"


def same_side(actor: str, earlier: Iterable[str]) -> bool:
    """Whether this actor is one of those who acted before, stands in for one, or was stood in for by one.

    All are actors as they are on record (`Caller.subject`): who acts for somebody bears both names. "Li" and "li" are one
    person: a directory that knows no case may say either.
    """
    persons = _people(actor)
    return any(not persons.isdisjoint(_people(other)) for other in earlier)


def _people(actor: str) -> frozenset[str]:
    return frozenset(map(str.casefold, persons_of(actor)))
