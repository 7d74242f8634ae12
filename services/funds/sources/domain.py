"""What a fund is and what its figures mean. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from services.funds.ledger.domain import AccountKey, AccountKind, Posting
from shared.errors import Refusal
from shared.scope import Level, level_of


class FundLevel(StrEnum):
    """Whose budget the money comes from (资金级次). Source: FND-001; standards.md 5.3."""

    CENTRAL = "central"  # 中央
    PROVINCE = "province"  # 省级
    PREFECTURE = "prefecture"  # 市级
    COUNTY = "county"  # 县级


class FundNumberTaken(Refusal):
    code = "fund_no_taken"


class VoucherEntered(Refusal):
    code = "voucher_entered"


@dataclass(frozen=True, slots=True)
class Figures:
    """Where the money of one fund is, in fen: received = left + in_projects + held + paid."""

    left_fen: int = 0
    in_projects_fen: int = 0
    held_fen: int = 0
    paid_fen: int = 0

    @property
    def received_fen(self) -> int:
        return self.left_fen + self.allocated_fen

    @property
    def allocated_fen(self) -> int:
        return self.in_projects_fen + self.held_fen + self.paid_fen


def below_county(division: str) -> bool:
    """A book is one county's, so what holds money lies in a county."""
    return level_of(division) in (Level.COUNTY, Level.TOWN, Level.VILLAGE)


def receipt_postings(fund_no: str, division: str, amount_fen: int) -> tuple[Posting, ...]:
    """Money of the outside world comes into the fund, earmarked by it (专款专用, FND-030)."""
    return (
        Posting(AccountKey(AccountKind.SOURCE, fund_no, fund_no), -amount_fen, division),
        Posting(AccountKey(AccountKind.FUND, fund_no, fund_no), amount_fen, division),
    )
