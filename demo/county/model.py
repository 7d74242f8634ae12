"""What a generated county is made of. Codes are those of the 建档立卡 system (data/codes/jdlk_*.csv)."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path

MONTH_START = date(2016, 10, 31)
"""The day the county's files are handed in: ages, school years and incomes are as of this day."""

YEAR = MONTH_START.year


class Kind(StrEnum):
    """What a household lives from: the first four are the sub-categories of the safety net (兜底保障)."""

    WUBAO = "五保"
    DIBAO = "低保"
    ORPHAN = "孤儿"
    DISABLED = "重度残疾"
    ORDINARY = "ordinary"


class Sex(StrEnum):
    """GB/T 2261.1."""

    MALE = "1"
    FEMALE = "2"


@dataclass(slots=True)
class Person:
    """A member of a household (家庭成员)."""

    name: str
    sex: Sex
    born: date
    id_number: str
    relation: str
    education: str
    student: str
    health: str
    labour: str
    ethnic: str = "01"
    dibao: bool = False
    insured: bool = True
    pension: bool = False
    work_place: str = ""
    work_months: int = 0


@dataclass(slots=True)
class Household:
    """A household (户). `incomes_fen`: net income per head (人均纯收入) by year, in fen."""

    number: str
    division: str
    group: str
    kind: Kind
    attribute: str
    cause: str
    other_cause: str
    identified_on: date | None
    status: str
    housing: str
    safe_water: bool
    incomes_fen: dict[int, int]
    people: list[Person]

    @property
    def head(self) -> Person:
        return self.people[0]


@dataclass(frozen=True, slots=True)
class Measure:
    """A help measure (帮扶措施). `persons` only where the published figure counts persons instead of members (护林员)."""

    household_no: str
    pathway: str
    sub: str
    scope: str
    year: int
    persons: int | None
    started_on: date


@dataclass(frozen=True, slots=True)
class Payee:
    """The bank account (惠农卡) a household is paid to."""

    household_no: str
    holder: str
    id_number: str
    card: str


@dataclass(frozen=True, slots=True)
class Cadre:
    """A cadre (干部) with the post held since a day. `post` is one of shared.events.assessment.Post."""

    cadre_no: str
    name: str
    post: str
    title: str
    unit: str
    division: str
    since: date
    phone: str


@dataclass(frozen=True, slots=True)
class Division:
    """A division (行政区划) by its 12-digit code."""

    code: str
    name: str
    level: str
    parent: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of the county: what it holds (an import kind), where it lies, its media type and its encoding."""

    kind: str
    path: Path
    media_type: str
    encoding: str
    rows: int


@dataclass(slots=True)
class County:
    """A whole generated county, and the files it was written to.

    `candidate` is a household in hardship that is not on the register yet; `leaver` one on the register that meets every
    exit criterion. Neither moves a published figure: the candidate has no measure, the leaver keeps its measures.
    `spare` households stand only in the file with bad rows, which is never entered.
    """

    seed: int
    divisions: list[Division]
    households: list[Household]
    measures: list[Measure]
    payees: list[Payee]
    cadres: list[Cadre]
    candidate: Household
    leaver: Household
    spare: list[Household]
    files: list[File] = field(default_factory=list)
    bad_rows: Path | None = None

    def of_kind(self, kind: str) -> list[File]:
        """The files of one import kind, in the order they are to be handed in."""
        return [file for file in self.files if file.kind == kind]
