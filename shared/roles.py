"""Who a caller is: roles of the county's people and machines (XC-004), and the area they may see."""

from dataclasses import dataclass
from enum import StrEnum

from shared.errors import FieldError, Malformed
from shared.scope import Area


class Role(StrEnum):
    """What a person or a machine may be in Daohu. A token carries one or more of them and one or more divisions."""

    COUNTY_ADMIN = "county_admin"  # 县扶贫办管理员: runs the system; no rule of money or procedure bends for it
    POVERTY_OFFICE = "poverty_office"  # 扶贫办
    STATISTICS = "statistics"  # 统计局: owns registration and dynamic monitoring (REG-006)
    FINANCE = "finance"  # 财政局: receives and allocates money
    APPLICANT = "applicant"  # 申报人: applies for a project
    REVIEWER = "reviewer"  # 审核人: town review
    APPROVER = "approver"  # 审批人: county approval
    PAYER = "payer"  # 拨付人
    AUDITOR = "auditor"  # 审计
    DISCIPLINE = "discipline"  # 纪检
    COUNTY_LEADER = "county_leader"  # 县级领导
    TOWN_CHIEF = "town_chief"  # 镇党政主要负责人
    DEPARTMENT_CHIEF = "department_chief"  # 部门主要负责人
    TOWN_OFFICE = "town_office"  # 镇扶贫办
    VILLAGE_CLERK = "village_clerk"  # 村文书
    FIRST_SECRETARY = "first_secretary"  # 第一书记
    TEAM_MEMBER = "team_member"  # 驻村工作队员
    PAIRED_CADRE = "paired_cadre"  # 结对帮扶干部
    SUPERVISOR = "supervisor"  # 督查组
    BACKEND = "backend"  # a mobile app's backend, acting for its users
    PRIVACY = "privacy"  # may unmask personal data, with a reason, on record


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated person or machine. `subject` is who, `client` is through which program (idempotency is per client)."""

    subject: str
    client: str
    roles: frozenset[Role]
    divisions: tuple[str, ...]
    area: Area

    def has(self, *roles: Role) -> bool:
        return not self.roles.isdisjoint(roles)

    def filing_division(self, named: str | None = None) -> str:
        """The division what he brings is filed under: his only one, or of several the one he names. Raises Malformed.

        It decides who may read it, so it is never guessed.
        """
        if named is None and len(self.divisions) == 1:
            return self.divisions[0]
        if named is not None and named in self.divisions:
            return named
        raise Malformed(
            "Your token holds several divisions: say under which of them this is to be filed."
            if named is None
            else "Name a division of your token.",
            errors=[FieldError("division", "division_unclear", "One of: " + ", ".join(self.divisions) + ".")],
        )
