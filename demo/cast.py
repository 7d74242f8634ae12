"""Who acts in the month: people of the county and its machines, each with the roles and the area they have in life."""

from demo.driver import Who
from shared.roles import Role
from shared.scope import Level, at_level

COUNTY = "610926000000"

ADMIN = Who("county-admin", (Role.COUNTY_ADMIN,), (COUNTY,))
POVERTY_OFFICE = Who("poverty-office", (Role.POVERTY_OFFICE,), (COUNTY,))
STATISTICS = Who("statistics-bureau", (Role.STATISTICS,), (COUNTY,))
FINANCE = Who("finance-bureau", (Role.FINANCE,), (COUNTY,))
APPROVER = Who("vice-county-head", (Role.APPROVER,), (COUNTY,))
PAYER = Who("treasury-payment", (Role.PAYER,), (COUNTY,))
AUDITOR = Who("audit-bureau", (Role.AUDITOR,), (COUNTY,))
SUPERVISOR = Who("supervision-group", (Role.SUPERVISOR,), (COUNTY,))
COUNTY_LEADER = Who("county-head", (Role.COUNTY_LEADER,), (COUNTY,))
SMS_GATEWAY = Who("sms-gateway", (Role.BACKEND,), (COUNTY,))
FIELD_APP = Who("field-app", (Role.BACKEND,), (COUNTY,))
"""The backend of the phones that first secretaries and paired cadres carry."""


def of_village(role: Role, village: str) -> Who:
    """Somebody of a village: its clerk, first secretary or team member."""
    return Who(f"{role}-{village}", (role,), (village,))


def of_town(role: Role, village: str) -> Who:
    """Somebody of the town a village lies in."""
    town = str(at_level(village, Level.TOWN))
    return Who(f"{role}-{town[:9]}", (role,), (town,))
