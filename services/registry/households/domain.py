"""Rules of a household's file (户档案): its states, what its people may be to each other, and its history. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from shared.errors import NotFound, Refusal


class Status(StrEnum):
    """脱贫状态. A candidate (识别中) is in identification, not yet on the register; exited (已脱贫) keeps its file."""

    CANDIDATE = "candidate"
    REGISTERED = "registered"
    EXITED = "exited"


class HouseholdUnknown(NotFound):
    code = "household_unknown"


class MemberUnknown(NotFound):
    code = "member_unknown"


class NotACandidate(Refusal):
    code = "not_a_candidate"


class NotOnRegister(Refusal):
    code = "not_on_register"


class HouseholdNumberTaken(Refusal):
    code = "household_no_taken"


class PersonElsewhere(Refusal):
    """One person belongs to one household. Source: REG-001 (real names); standards.md 1.3 (duplicates)."""

    code = "person_in_other_household"


class MemberLeft(Refusal):
    code = "member_left"


class StillOnFile(Refusal):
    code = "still_on_file"


class PersonErased(Refusal):
    code = "person_erased"


class HeadMissing(Refusal):
    """Source: standards.md 1.3 (household without head)."""

    code = "one_head_needed"


class CausesRepeat(Refusal):
    """Source: standards.md 1.3 (other cause repeats main cause)."""

    code = "causes_repeat"


class SexConflict(Refusal):
    """Source: standards.md 1.3 (relation vs sex conflict), 7.2 (the sex in an ID number)."""

    code = "sex_conflict"


class FutureDate(Refusal):
    code = "date_in_future"


def require_candidate(status: str) -> None:
    """纳入: only a household in identification comes onto the register. Source: REG-002."""
    if status != Status.CANDIDATE:
        raise NotACandidate(
            "Only a household in identification comes onto the register; this one is not.", status=status
        )


def require_on_register(status: str) -> None:
    """退出: only a household on the register can exit. Source: REG-002; standards.md 3."""
    if status != Status.REGISTERED:
        raise NotOnRegister("Only a household on the register can exit; this one is not.", status=status)


def require_not_future(day: date, today: date) -> None:
    if day > today:
        raise FutureDate(
            "A fact cannot take effect after today. Give today or an earlier date.", today=today.isoformat()
        )


def require_distinct_causes(cause: str | None, other: str | None) -> None:
    if cause and cause == other:
        raise CausesRepeat("The other cause must differ from the main cause. Change or clear one.")


def require_one_head(relations: Sequence[str], head: str) -> None:
    """Raises HeadMissing unless exactly one of the living members is the head (户主)."""
    if (heads := sum(relation == head for relation in relations)) != 1:
        raise HeadMissing("A household has exactly one head. Correct the relations.", heads=heads)


_MALE = frozenset((
    "11", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "41", "43", "46", "51", "53",
    "55", "57", "61", "63", "71", "73", "76", "78", "81", "83", "85", "87", "89", "93", "95",
))  # fmt: skip
_FEMALE = frozenset((
    "12", "30", "31", "32", "33", "34", "35", "36", "37", "38", "39", "42", "44", "45", "52", "54",
    "56", "58", "62", "64", "72", "74", "75", "77", "82", "84", "86", "88", "90", "94", "96",
))  # fmt: skip
"""Codes of GB/T 4761 for men and for women alone."""


def sex_fits_relation(sex: str, relation: str) -> bool:
    """A son is male, a mother female. Codes of GB/T 2261.1 and GB/T 4761. Source: standards.md 1.3 (relation vs sex conflict)."""
    return not (sex == "1" and relation in _FEMALE) and not (sex == "2" and relation in _MALE)


def require_sex(sex: str, id_sex: str, relation: str) -> None:
    """Raises SexConflict unless the sex on file, the sex in the ID number and the relation to the head agree."""
    if sex != id_sex or not sex_fits_relation(sex, relation):
        raise SexConflict("Sex, ID number and relation to the head must agree. Correct the one that is wrong.")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a household's history: what became different, from which day on, known since when."""

    version: int
    valid_from: date
    recorded_at: datetime
    changes: Mapping[str, Any]


def as_of(entries: Iterable[Entry], *, valid_on: date, known_at: datetime) -> dict[str, Any] | None:
    """The file as it was on a day, as far as it was known at an instant (双时态). None when nothing was known of that day.

    The first entry is the ground; the others lie on it by the day they took effect, then in the order they were recorded:
    a correction of an earlier day stays in force until a later change of the same field.
    """
    known = [entry for entry in entries if entry.recorded_at <= known_at]
    if not any(entry.valid_from <= valid_on for entry in known):
        return None
    state: dict[str, Any] = {}
    for entry in sorted(known, key=_layer):
        if entry.version == FIRST or entry.valid_from <= valid_on:
            merge(state, entry.changes)
    return state


FIRST = 1
"""Version of the first entry: the whole file as it was entered."""


def _layer(entry: Entry) -> tuple[bool, date, int]:
    return entry.version != FIRST, entry.valid_from, entry.version


def still_true(changes: Mapping[str, Any], since: date, entries: Iterable[Entry]) -> dict[str, Any]:
    """Of changes that took effect on `since`, those that no later change of the same field has overtaken.

    They alone move the present file; the history takes all of them.
    """
    left = dict(changes)
    for entry in entries:
        if entry.version != FIRST and entry.valid_from > since:
            left = _without(left, entry.changes)
    return left


def _without(changes: Mapping[str, Any], overtaking: Mapping[str, Any]) -> dict[str, Any]:
    left = {}
    for key, value in changes.items():
        later = overtaking.get(key)
        if isinstance(value, Mapping) and isinstance(later, Mapping):
            if inner := _without(value, later):
                left[key] = inner
        elif key not in overtaking:
            left[key] = value
    return left


def merge(state: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Applies changes: a dictionary (incomes by year, members by number) is merged, anything else replaced."""
    for key, value in changes.items():
        if isinstance(value, Mapping):
            merge(state.setdefault(key, {}), value)
        else:
            state[key] = value


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `after` that are not so in `before`."""
    return {key: value for key, value in after.items() if before.get(key) != value}


ERASED_NAME = "已删除"

ERASED_FIELDS = ("name", "id_masked", "born_on", "ethnic", "health")
"""What is personal beyond a household's need: who it was, when he was born (the year stays), and what the law counts as sensitive."""


def require_erasable(*, left: bool, erased: bool) -> None:
    """Raises StillOnFile, PersonErased."""
    if erased:
        raise PersonErased("This person's data was erased.")
    if not left:
        raise StillOnFile(
            "The file needs the data of whoever lives in the household. End the membership first (left_on)."
        )


def erased(person: Mapping[str, Any]) -> dict[str, Any]:
    """A person's fields, or those of them that a history entry names, without what is personal."""
    return {**person, **{name: _nothing(name, person[name]) for name in ERASED_FIELDS if name in person}}


def _nothing(name: str, value: Any) -> Any:
    if name == "name":
        return ERASED_NAME
    if name == "born_on":
        born = date.fromisoformat(value) if isinstance(value, str) else value
        return born.replace(month=1, day=1) if isinstance(value, date) else born.replace(month=1, day=1).isoformat()
    return ""
