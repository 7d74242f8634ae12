"""What the registry says happened: divisions, households, measures, visits."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.events.base import Division, Event, lenient
from shared.scope import Level


class HouseholdStatus(StrEnum):
    """脱贫状态. `candidate` is a household in identification, not yet on the register."""

    CANDIDATE = "candidate"
    REGISTERED = "registered"
    EXITED = "exited"
    UNKNOWN = "unknown"


class DivisionRecorded(
    Event,
    type_name="registry.division_recorded.v1",
    topic="daohu.registry.division",
    key_field="code",
    consumers=("funds", "assessment", "notify"),
):
    """A division (行政区划) was entered or its name changed."""

    code: Division
    name: str = Field(max_length=100)
    level: Level
    parent: Division | None = None


class MandateKind(StrEnum):
    """代理 in somebody's absence, or an 审计项目."""

    ACTING = "acting"
    AUDIT = "audit"
    UNKNOWN = "unknown"


class MandateRecorded(
    Event,
    type_name="registry.mandate_recorded.v1",
    topic="daohu.registry.mandate",
    key_field="mandate_id",
    consumers=("funds", "assessment", "notify"),
):
    """A mandate (授权) was given, or ended early: its holders act for somebody absent, or read as auditors, in its divisions."""

    mandate_id: UUID
    kind: Annotated[MandateKind, lenient(MandateKind)]
    holders: list[Annotated[str, Field(max_length=100)]] = Field(description="subjects of tokens")
    absent: str | None = Field(default=None, max_length=100, description="the subject they act for; of an audit: none")
    roles: list[Annotated[str, Field(max_length=40)]] = Field(description="the roles they have by it, and no other")
    divisions: list[Division]
    since: date
    until: date = Field(description="the last day, in the county's zone")
    ended_at: datetime | None = None


class HouseholdRecorded(
    Event,
    type_name="registry.household_recorded.v1",
    topic="daohu.registry.household",
    key_field="household_id",
    consumers=("funds", "assessment"),
):
    """A household (户) was entered or its file changed: who may be paid, how many people it has, whose area it is."""

    household_id: UUID
    household_no: str = Field(max_length=32, description="户编号, the county's own number of the household")
    division: Division
    head_name_masked: str = Field(max_length=40, description="the head's name with all but the first character masked")
    people: int = Field(ge=0, description="members living in the household")
    status: Annotated[HouseholdStatus, lenient(HouseholdStatus)]


class HouseholdIdentified(
    Event,
    type_name="registry.household_identified.v1",
    topic="daohu.registry.household",
    key_field="household_id",
    consumers=("funds", "assessment"),
):
    """A household passed its identification procedure (识别) and is on the register."""

    household_id: UUID
    household_no: str = Field(max_length=32)
    division: Division
    people: int = Field(ge=0)
    case_id: UUID
    decided_on: date


class HouseholdExited(
    Event,
    type_name="registry.household_exited.v1",
    topic="daohu.registry.household",
    key_field="household_id",
    consumers=("funds", "assessment"),
):
    """A household passed its exit procedure (脱贫退出)."""

    household_id: UUID
    household_no: str = Field(max_length=32)
    division: Division
    people: int = Field(ge=0)
    case_id: UUID
    decided_on: date


class MeasureChanged(
    Event,
    type_name="registry.measure_changed.v1",
    topic="daohu.registry.measure",
    key_field="household_id",
    consumers=(),
):
    """A help measure (帮扶措施) of a household was given or ended."""

    household_id: UUID
    measure_id: UUID
    division: Division
    pathway: str = Field(max_length=40, description="key of the pathway (脱贫路径) in the policy pack")
    sub: str | None = Field(default=None, max_length=40)
    scope: str = Field(max_length=40)
    year: int
    ended: bool = False


class VisitRecorded(
    Event,
    type_name="registry.visit_recorded.v1",
    topic="daohu.registry.visit",
    key_field="visit_id",
    consumers=("assessment",),
):
    """A cadre visited a household (走访)."""

    visit_id: UUID
    household_id: UUID
    division: Division
    cadre_no: str = Field(max_length=32, description="number of the cadre in the directory of assessment")
    visited_on: date
