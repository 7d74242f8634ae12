"""What the households API takes and gives. Codes are those of `codes.py`; ID numbers are masked in every answer."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from services.registry.households import codes
from services.registry.households.domain import Status
from services.registry.texts import BusinessNo, OpenText
from shared import pii
from shared.http import In
from shared.scope import Level, is_division, level_of
from shared.sheets import CellError
from shared.sheets.personal import id_number

MAX_MEMBERS = 40
MAX_INCOME_FEN = 10**8
"""A million yuan a head: above it somebody mistyped."""


def _code(names: Mapping[str, str]) -> Callable[[str], str]:
    def check(code: str) -> str:
        if code not in names:
            raise PydanticCustomError("unknown_code", "Not a code of the list.")
        return code

    return check


def _village(code: str) -> str:
    if not is_division(code) or level_of(code) != Level.VILLAGE:
        raise PydanticCustomError("bad_division", "Fill in the 12-digit code of a village.")
    return code


def _id_number(text: str) -> str:
    try:
        return id_number(text)
    except CellError as error:
        raise PydanticCustomError("bad_id_number", "{reason}", {"reason": error.en, "code": error.code}) from None


Village = Annotated[str, AfterValidator(_village)]
HouseholdNo = Annotated[BusinessNo, Field(pattern=r"^[^a-z]*$")]
IdNumber = Annotated[str, AfterValidator(_id_number)]
Attribute = Annotated[str, AfterValidator(_code(codes.ATTRIBUTE))]
Cause = Annotated[str, AfterValidator(_code(codes.CAUSE))]
Housing = Annotated[str, AfterValidator(_code(codes.HOUSING))]
Sex = Annotated[str, AfterValidator(_code({"1": "", "2": ""}))]
Relation = Annotated[str, AfterValidator(_code(codes.RELATION))]
Ethnic = Annotated[str, AfterValidator(_code(codes.ETHNIC))]
Education = Annotated[str, AfterValidator(_code(codes.EDUCATION | {"": ""}))]
Student = Annotated[str, AfterValidator(_code(codes.STUDENT))]
Health = Annotated[str, AfterValidator(_code(codes.HEALTH))]
Labour = Annotated[str, AfterValidator(_code(codes.LABOUR))]
WorkPlace = Annotated[str, AfterValidator(_code(codes.WORK_PLACE))]
LeftReason = Annotated[str, AfterValidator(_code(dict.fromkeys(codes.LEAVING, "")))]
IncomeFen = Annotated[
    int, Field(ge=0, le=MAX_INCOME_FEN, description="net income per head of a year (人均纯收入), fen")
]
Year = Annotated[int, Field(ge=1990, le=2100)]
Reason = Annotated[OpenText, Field(min_length=1)]


class MemberIn(In):
    """A person (家庭成员) of a household."""

    name: str = Field(min_length=1, max_length=40)
    sex: Sex
    id_number: IdNumber
    relation: Relation
    ethnic: Ethnic = "01"
    education: Education = ""
    student: Student
    health: Health
    labour: Labour
    work_place: WorkPlace | None = None
    work_months: int | None = Field(default=None, ge=0, le=12)
    dibao: bool = False
    insured: bool
    pension: bool = False


class HouseholdIn(In):
    """A household (户) that asks to be identified, with all who live in it."""

    household_no: HouseholdNo
    division: Village
    group: str | None = Field(default=None, max_length=40)
    attribute: Attribute
    cause: Cause
    other_cause: Cause | None = None
    standard: str | None = Field(default=None, max_length=40)
    housing: Housing
    safe_water: bool
    remark: OpenText | None = Field(default=None, max_length=200)
    incomes: dict[Year, IncomeFen] = Field(default_factory=dict, max_length=20)
    members: list[MemberIn] = Field(min_length=1, max_length=MAX_MEMBERS)


class _Change(In):
    """What a change needs beside its fields: why, and from which day on it holds (default: today)."""

    reason: Reason
    valid_from: date | None = None

    def fields(self) -> dict[str, Any]:
        """The fields that were sent."""
        sent = self.model_fields_set - {"reason", "valid_from"}
        return {name: getattr(self, name) for name in sent}

    @model_validator(mode="after")
    def _something(self) -> "_Change":
        if not self.fields():
            raise PydanticCustomError("nothing_to_change", "Send at least one field to change.")
        return self


class HouseholdPatch(_Change):
    """Changes of a household's file. Its status changes through procedures alone."""

    division: Village = ""
    group: str | None = Field(default=None, max_length=40)
    attribute: Attribute = ""
    cause: Cause = ""
    other_cause: Cause | None = None
    standard: str | None = Field(default=None, max_length=40)
    housing: Housing = ""
    safe_water: bool = False
    remark: OpenText | None = Field(default=None, max_length=200)
    incomes: dict[Year, IncomeFen] = Field(default_factory=dict, max_length=20)


class MemberPatch(_Change):
    """Changes of a person's data. `left_on` with `left_reason` (人员变更) ends the membership."""

    name: str = Field(default="", min_length=1, max_length=40)
    sex: Sex = ""
    id_number: IdNumber = ""
    relation: Relation = ""
    ethnic: Ethnic = ""
    education: Education = ""
    student: Student = ""
    health: Health = ""
    labour: Labour = ""
    work_place: WorkPlace | None = None
    work_months: int | None = Field(default=None, ge=0, le=12)
    dibao: bool = False
    insured: bool = False
    pension: bool = False
    left_on: date | None = None
    left_reason: LeftReason | None = None

    @model_validator(mode="after")
    def _leaving(self) -> "MemberPatch":
        if (self.left_on is None) != (self.left_reason is None):
            raise PydanticCustomError("left_reason", "A departure has a date and a reason.")
        if self.valid_from and self.model_fields_set & {"id_number", "left_on"}:
            raise PydanticCustomError(
                "valid_from", "An ID number and a departure hold from now on; leave valid_from out."
            )
        return self


class MemberAdd(MemberIn):
    """A person who joins a household (出生, 嫁入 …)."""

    reason: Reason
    valid_from: date | None = None


class UnmaskIn(In):
    reason: Reason


class ErasureIn(In):
    """Why a person's data is erased: who asked for it, or which rule."""

    reason: Reason


class Unmasked(BaseModel):
    """Personal data in full. That it was shown is on record."""

    member_id: UUID
    name: str
    id_number: str


class MemberOut(BaseModel):
    """A person (家庭成员). `id_number_masked`: first and last character of the ID number."""

    id: UUID
    member_no: int
    name: str
    sex: str
    born_on: date
    id_number_masked: str
    relation: str
    ethnic: str
    education: str
    student: str
    health: str
    labour: str
    work_place: str | None
    work_months: int | None
    dibao: bool
    insured: bool
    pension: bool
    left_on: date | None = None
    left_reason: str | None = None


class HouseholdBrief(BaseModel):
    """A household (户) in lists and feeds: who it is, without its people."""

    id: UUID
    household_no: str
    division: str
    group: str | None
    status: Status
    attribute: str
    cause: str
    other_cause: str | None
    head_name_masked: str
    people: int
    identified_on: date | None
    exited_on: date | None
    version: int


class IncomeOut(BaseModel):
    """Net income per head (人均纯收入) of a year, in fen and as yuan text."""

    year: int
    net_per_head_fen: int
    net_per_head_yuan: str


class HouseholdOut(HouseholdBrief):
    """The file (档案) of a household with its people."""

    standard: str | None
    housing: str
    safe_water: bool
    remark: str | None
    incomes: list[IncomeOut]
    members: list[MemberOut]


class PastHousehold(BaseModel):
    """The file as it was on `valid_on`, as far as it was known at `known_at`. Members by number; ID numbers masked."""

    id: UUID
    valid_on: date
    known_at: datetime
    file: dict[str, Any]


class HistoryEntry(BaseModel):
    """One entry of the history: the fields that became different, from which day on, recorded when, by whom and why."""

    version: int
    valid_from: date
    recorded_at: datetime
    actor: str
    reason: str
    changes: dict[str, Any]


class Change(BaseModel):
    """One change of the feed. `deleted` (tombstone): the household is no longer in your area; drop it."""

    id: UUID
    deleted: bool
    changed_at: datetime
    household: HouseholdBrief | None


class Changes(BaseModel):
    """Changes in order. `next` is always there: ask again with it later."""

    items: list[Change]
    next: str


def masked(member: Mapping[str, Any]) -> MemberOut:
    return MemberOut(
        id_number_masked=member["id_masked"], **{key: member[key] for key in MemberOut.model_fields if key in member}
    )


def identity_values(number: str) -> dict[str, Any]:
    """What a member's row keeps of an ID number in the open: mask and birth date."""
    return {"id_masked": pii.mask_id(number), "born_on": pii.birth_date(number)}
