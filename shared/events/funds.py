"""What the funds service says happened: money received, allocated, approved, paid."""

from datetime import date
from uuid import UUID

from pydantic import Field

from shared.events.base import Division, Event, Fen


class FundReceived(
    Event, type_name="funds.fund_received.v1", topic="daohu.funds.fund", key_field="fund_id", consumers=()
):
    """Money of one source arrived (资金到账)."""

    fund_id: UUID
    fund_no: str = Field(max_length=32)
    level: str = Field(max_length=16, description="central, province, prefecture or county")
    division: Division
    amount_fen: Fen
    received_on: date
    entry_seq: int


class FundAllocated(
    Event,
    type_name="funds.fund_allocated.v1",
    topic="daohu.funds.project",
    key_field="project_id",
    consumers=("assessment",),
):
    """Money of a fund was allocated to a project (资金分配)."""

    project_id: UUID
    project_no: str = Field(max_length=32)
    fund_id: UUID
    division: Division
    amount_fen: Fen
    allocated_on: date
    entry_seq: int


class TranchePaid(
    Event,
    type_name="funds.tranche_paid.v1",
    topic="daohu.funds.project",
    key_field="project_id",
    consumers=("assessment", "notify"),
):
    """A tranche of a project was paid to households (资金拨付到户)."""

    project_id: UUID
    project_no: str = Field(max_length=32)
    tranche_id: UUID
    division: Division
    amount_fen: Fen
    households: int = Field(ge=1)
    paid_on: date
    entry_seq: int
