"""The gaps that are published (handbook: ledger-and-audit.md 9), and what to do about each. Pure."""

from dataclasses import dataclass

TEXTS = {
    "fund_not_allocated": ("资金已到账，尚未分配到项目。", "Received and not allocated to a project yet."),
    "hold_open": ("资金已预留，尚未拨付。", "Set aside for a tranche and not paid yet."),
    "household_without_payee": ("批次中有农户没有收款账户。", "Households of the tranche have no account to pay to."),
    "project_not_paid": ("已分配到项目，尚未拨付到户。", "Allocated to a project and not in any tranche yet."),
}


@dataclass(frozen=True, slots=True)
class Gap:
    """`number`: of the fund, project or tranche. `count`: of the things that lack something (households, or 1)."""

    kind: str
    number: str
    division: str
    amount_fen: int
    count: int = 1

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.number


def page_of_gaps(gaps: list[Gap], after: tuple[str, str] | None, limit: int) -> list[Gap]:
    """Gaps in the order of kind and number, above `after`."""
    ordered = sorted((gap for gap in gaps if after is None or gap.key > after), key=lambda gap: gap.key)
    return ordered[:limit]
