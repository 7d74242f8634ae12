"""The members of a household, made to fit its size, its kind and its measures, and the checks of an import.

Source of the checks: standards.md 1.3 (rules used on the national export).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from demo.county import names
from demo.county.identity import Identities
from demo.county.model import MONTH_START, Kind, Person, Sex

HEAD, SPOUSE, SON, DAUGHTER, FATHER, MOTHER, OTHER = "01", "02", "03", "04", "11", "12", "99"
ILLITERATE, PRIMARY, MIDDLE, SENIOR, COLLEGE, PRESCHOOL = "01", "02", "03", "04", "05", "06"
NO_STUDENT, IN_PRESCHOOL, IN_PRIMARY, IN_COLLEGE = "01", "02", "03", "16"
HEALTHY, CHRONIC, SERIOUS, DISABLED = "01", "02", "03", "04"
WORKER, SKILLED, CANNOT_WORK, NO_WORKER = "01", "02", "03", "04"
IN_TOWN, IN_COUNTY, IN_PROVINCE, OUT_OF_PROVINCE = "01", "02", "03", "04"
HAN, HUI = "01", "03"

ADULT, OLD, SCHOOL_AGE, SCHOOL_DONE, HIGH_DONE = 18, 60, 6, 15, 18
_SCHOOL_YEAR = date(MONTH_START.year, 8, 31)
"""Classes are by age on the last day before the school year (义务教育法)."""

_CERTIFICATE = "41"
"""A disability certificate: the identity number with kind (limbs) and grade (first). Source: standards.md 7.2."""

_STAGES = {
    "学前一年": (5, 5),
    "义务教育": (6, 14),
    "高中": (15, 17),
    "中职": (15, 17),
    "高职": (18, 20),
    "应届大学生": (18, 18),
    "在校大学生": (19, 21),
}
"""Ages on 31 August of the students a sub-category of education supports."""

_WORK_PLACES = {
    "省内劳务输出": IN_PROVINCE,
    "省内自主创业": IN_COUNTY,
    "省外劳务输出": OUT_OF_PROVINCE,
    "省外自主创业": OUT_OF_PROVINCE,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a household's measures ask of its members."""

    size: int
    kind: Kind
    stage: str | None = None
    labour: str | None = None
    workers: int = 0


@dataclass(slots=True)
class _Draft:
    relation: str
    sex: Sex
    age: int
    stage: str | None = None
    worker: bool = False


def members(wanted: Wanted, rng: Random, identities: Identities) -> list[Person]:
    """The members, head first (户主)."""
    drafts = _drafts(wanted, rng)
    left = max(wanted.workers, 1 if wanted.labour else 0)
    for draft in drafts:
        if left and draft.stage is None and ADULT <= draft.age < OLD:
            draft.worker, left = True, left - 1
    if left:
        raise AssertionError(f"{wanted}: no adult left to work")
    return _named(drafts, wanted, rng, identities)


def age_on(born: date, day: date) -> int:
    """Full years."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def _drafts(wanted: Wanted, rng: Random) -> list[_Draft]:
    match wanted.kind:
        case Kind.ORPHAN:
            return [_Draft(HEAD, rng.choice(list(Sex)), rng.randint(8, 14))]
        case Kind.DISABLED:
            return [_Draft(HEAD, rng.choice(list(Sex)), rng.randint(20, 58))]
        case Kind.WUBAO:
            return _old_people(wanted.size, rng)
        case _:
            return _family(wanted, rng)


def _old_people(size: int, rng: Random) -> list[_Draft]:
    """五保: old people whom nobody is bound to keep."""
    head = _Draft(HEAD, Sex.MALE if rng.random() < 0.8 else Sex.FEMALE, rng.randint(62, 86))
    others = []
    if size > 1 and rng.random() < 0.5:
        others.append(_Draft(SPOUSE, _other(head.sex), max(OLD, head.age - rng.randint(-3, 6))))
    while len(others) < size - 1:
        others.append(_Draft(OTHER, rng.choice(list(Sex)), max(OLD, head.age - rng.randint(-4, 8))))
    return [head, *others]


def _family(wanted: Wanted, rng: Random) -> list[_Draft]:
    """A head of working age where somebody has to work or to raise a pupil; then spouse, children, parents, kin."""
    works = max(wanted.workers, 1 if wanted.labour else 0)
    student = None
    if wanted.stage:
        low, high = _STAGES[wanted.stage]
        student = _child(rng.randint(low, high), rng)
        student.stage = wanted.stage
    if student:
        head_age = min(57, student.age + rng.randint(22, 34))
    elif wanted.size == 1 and not works:
        head_age = rng.randint(35, 78)
    elif wanted.size == 2 and not works:
        head_age = rng.randint(28, 72)
    else:
        head_age = rng.randint(27, 57)
    head = _Draft(HEAD, Sex.MALE if rng.random() < 0.86 else Sex.FEMALE, head_age)
    family = [head]
    married = rng.random() < (0.6 if wanted.size == 2 else 0.92)
    if wanted.size - len(family) - bool(student) > 0 and (married or works > 1):
        youngest = max(22, student.age + 20 if student else 0)
        spouse_age = min(OLD - 1 if works > 1 else 80, max(youngest, head_age - rng.randint(-2, 5)))
        family.append(_Draft(SPOUSE, _other(head.sex), spouse_age))
    if student:
        family.append(student)
    _fill(family, wanted.size, rng)
    return family


def _fill(family: list[_Draft], size: int, rng: Random) -> None:
    head = family[0]
    youngest_parent = min(draft.age for draft in family if draft.relation in (HEAD, SPOUSE))
    oldest_child = youngest_parent - 20
    taken = {draft.age for draft in family if draft.relation in (SON, DAUGHTER)}
    free = [age for age in range(max(0, oldest_child - 20), max(0, oldest_child) + 1) if age not in taken]
    parents = [(FATHER, Sex.MALE), (MOTHER, Sex.FEMALE)] if head.age <= 60 else []
    rng.shuffle(parents)
    while len(family) < size:
        draw = rng.random()
        if free and draw < 0.55 and len(taken) < 4:
            age = free.pop(rng.randrange(len(free)))
            taken.add(age)
            family.append(_child(age, rng))
        elif parents and draw < 0.9:
            relation, sex = parents.pop()
            family.append(_Draft(relation, sex, min(93, head.age + rng.randint(20, 32))))
        elif draw >= 0.9 or not (free and len(taken) < 4):
            family.append(_Draft(OTHER, rng.choice(list(Sex)), max(ADULT, head.age + rng.randint(-14, 10))))


def _child(age: int, rng: Random) -> _Draft:
    sex = Sex.MALE if rng.random() < 0.52 else Sex.FEMALE
    return _Draft(SON if sex is Sex.MALE else DAUGHTER, sex, age)


def _named(drafts: Sequence[_Draft], wanted: Wanted, rng: Random, identities: Identities) -> list[Person]:
    head = drafts[0]
    family_name = names.surname(rng)
    spouse = next((draft for draft in drafts if draft.relation == SPOUSE), None)
    spouse_name = names.surname(rng) if spouse else family_name
    ethnic = HAN if rng.random() < 0.97 else HUI
    father_name = family_name if head.sex is Sex.MALE else spouse_name
    surnames = {SPOUSE: spouse_name, SON: father_name, DAUGHTER: father_name}
    people: list[Person] = []
    for draft in drafts:
        surname = names.surname(rng) if draft.relation == MOTHER else surnames.get(draft.relation, family_name)
        taken = {person.name for person in people}
        while (name := surname + names.given(rng, draft.sex)) in taken:
            pass
        people.append(_person(draft, name, wanted, rng, identities, ethnic))
    return people


def _person(draft: _Draft, name: str, wanted: Wanted, rng: Random, identities: Identities, ethnic: str) -> Person:
    born = _birth_date(draft.age, rng)
    student = _student(draft, wanted, rng)
    health = _health(draft, wanted.kind, rng)
    labour = _labour(draft.age, student, health, rng)
    person = Person(
        name=name,
        sex=draft.sex,
        born=born,
        id_number=identities.id_number(born, draft.sex) + (_CERTIFICATE if wanted.kind is Kind.DISABLED else ""),
        relation=draft.relation,
        education=_education(draft.age, student, rng),
        student=student,
        health=health,
        labour=labour,
        ethnic=ethnic,
        dibao=wanted.kind in (Kind.DIBAO, Kind.DISABLED),
        pension=draft.age >= ADULT and student == NO_STUDENT,
    )
    if draft.worker and wanted.labour:
        person.work_place, person.work_months = _WORK_PLACES[wanted.labour], rng.randint(6, 11)
    elif labour in (WORKER, SKILLED) and rng.random() < 0.15:
        person.work_place, person.work_months = rng.choice((IN_TOWN, IN_COUNTY)), rng.randint(2, 10)
    return person


def _birth_date(age: int, rng: Random) -> date:
    """Somebody who has this age both when the school year begins and when the files are handed in."""
    latest = _SCHOOL_YEAR.replace(year=_SCHOOL_YEAR.year - age)
    earliest = MONTH_START.replace(year=MONTH_START.year - age - 1) + timedelta(days=1)
    return earliest + timedelta(days=rng.randrange((latest - earliest).days + 1))


def _student(draft: _Draft, wanted: Wanted, rng: Random) -> str:
    age, stage = draft.age, draft.stage
    if SCHOOL_AGE <= age < SCHOOL_DONE:  # 义务教育: nobody of the age drops out here
        grade = age - SCHOOL_AGE + 1
        return IN_PRIMARY if grade <= 6 else f"{grade - 3:02d}"
    if stage in ("应届大学生", "在校大学生"):
        return IN_COLLEGE
    if stage == "高职":
        return f"{13 + age - HIGH_DONE:02d}"
    if stage == "中职":
        return f"{10 + age - SCHOOL_DONE:02d}"
    in_high = SCHOOL_DONE <= age < HIGH_DONE and draft.relation in (SON, DAUGHTER)
    if stage == "高中" or (in_high and wanted.stage is None and rng.random() < 0.6):
        return f"{7 + age - SCHOOL_DONE:02d}"
    if age == SCHOOL_AGE - 1 or (age in (3, 4) and rng.random() < 0.6):
        return IN_PRESCHOOL
    return NO_STUDENT


def _health(draft: _Draft, kind: Kind, rng: Random) -> str:
    if kind is Kind.DISABLED:
        return DISABLED
    if draft.worker or draft.stage or kind is Kind.ORPHAN:
        return HEALTHY
    draw = rng.random()
    if draft.age >= OLD:
        return CHRONIC if draw < 0.3 else DISABLED if draw < 0.37 else SERIOUS if draw < 0.4 else HEALTHY
    return CHRONIC if draw < 0.05 else DISABLED if draw < 0.08 else SERIOUS if draw < 0.09 else HEALTHY


def _labour(age: int, student: str, health: str, rng: Random) -> str:
    if age < 16 or age >= OLD or student != NO_STUDENT:
        return NO_WORKER
    if health in (SERIOUS, DISABLED):
        return CANNOT_WORK
    return SKILLED if rng.random() < 0.15 else WORKER


def _education(age: int, student: str, rng: Random) -> str:
    if age < SCHOOL_AGE:
        return PRESCHOOL
    if student != NO_STUDENT:
        return {IN_PRIMARY: PRIMARY, IN_COLLEGE: COLLEGE}.get(
            student, MIDDLE if student < "07" else SENIOR if student < "13" else COLLEGE
        )
    if age >= OLD:
        return rng.choices((ILLITERATE, PRIMARY, MIDDLE), (35, 50, 15))[0]
    if age < 30:
        return rng.choices((MIDDLE, SENIOR, COLLEGE), (60, 30, 10))[0]
    return rng.choices((ILLITERATE, PRIMARY, MIDDLE, SENIOR), (6, 36, 46, 12))[0]


def _other(sex: Sex) -> Sex:
    return Sex.FEMALE if sex is Sex.MALE else Sex.MALE
