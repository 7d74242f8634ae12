"""What a project may be given. Pure."""

from dataclasses import dataclass

from services.funds.ledger.domain import AccountKey, AccountKind, Posting, book_of
from shared.errors import Refusal
from shared.scope import Area


class ProjectNumberTaken(Refusal):
    code = "project_no_taken"


class OutsideFundArea(Refusal):
    code = "outside_fund_area"


@dataclass(frozen=True, slots=True)
class FundShare:
    """The money of one fund in one project, in fen: allocated = left + held + paid."""

    fund_no: str
    left_fen: int
    held_fen: int
    paid_fen: int

    @property
    def allocated_fen(self) -> int:
        return self.left_fen + self.held_fen + self.paid_fen


PROJECT_BOUND = (
    "id", "project_no", "name", "division", "kind", "description", "unit", "year", "performance_target", "due_on", "created_by",
    "created_at",
)  # fmt: skip
"""The columns of a project that an allocation to it binds by their digest: all of them."""


def subject_of(project_id: object) -> str:
    """How decisions and notices name a project."""
    return f"project:{project_id}"


def allocation_postings(
    fund_no: str, fund_division: str, project_no: str, project_division: str, amount_fen: int
) -> tuple[Posting, ...]:
    """Money goes from a fund to a project and stays earmarked by the fund (专款专用; FND-009, FND-030).

    That a fund never gives more than it received is the limit on its account. Raises OutsideFundArea.
    """
    if book_of(fund_division) != book_of(project_division) or not Area.of([fund_division]).covers(project_division):
        raise OutsideFundArea(
            "The project lies outside the area this fund is for. Take a fund of its own county or town."
        )
    return (
        Posting(AccountKey(AccountKind.FUND, fund_no, fund_no), -amount_fen, fund_division),
        Posting(AccountKey(AccountKind.PROJECT, project_no, fund_no), amount_fen, project_division),
    )
