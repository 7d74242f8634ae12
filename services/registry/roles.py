"""Which offices keep the registry's ledgers: what the gates let pass at most, and what the county's pack leaves of it."""

from collections.abc import Iterable
from enum import StrEnum

from shared.errors import Forbidden
from shared.roles import Role
from shared.scope import Level, at_level
from shared.work import SYSTEM, Work

REGISTRARS = (Role.COUNTY_ADMIN, Role.STATISTICS, Role.TOWN_OFFICE)
"""Registration is the statistics bureau's and the towns' (REG-006, REG-005), not the poverty office's."""

HELPERS = (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE, Role.TOWN_OFFICE, Role.STATISTICS)
"""Measures come from the poverty office and the towns; the statistics bureau may enter what it finds."""


class Ledger(StrEnum):
    """A ledger (台账) whose keepers the pack names under `registry.ledger_rights`."""

    REGISTRATION = "registration"  # 建档立卡
    MONITORING = "monitoring"  # 动态监测
    MEASURES = "measures"  # 帮扶措施


class LedgerOfAnotherOffice(Forbidden):
    """The gate lets the role pass, the county gave this ledger to others. Source: REG-006."""

    code = "ledger_of_another_office"


def require_keeper(work: Work, ledger: Ledger, divisions: Iterable[str]) -> None:
    """The caller keeps this ledger in each county in which these divisions lie; the system's own work is no office's.

    Raises LedgerOfAnotherOffice, PolicyMissing.
    """
    if work.caller is SYSTEM:
        return
    for county in sorted({at_level(division, Level.COUNTY) or division for division in divisions}):
        keepers = work.policies.value("registry.ledger_rights", county, work.today)[ledger]
        if not work.caller.has(*map(Role, keepers)):
            raise LedgerOfAnotherOffice(
                f"In {county} this ledger ({ledger}) is kept by: " + ", ".join(keepers) + ".",
                ledger=ledger,
                rule="REG-006",
                needs=keepers,
            )
