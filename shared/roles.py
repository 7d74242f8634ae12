"""Who a caller is: roles of the county's people and machines (XC-004), and the area they may see."""

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from shared.errors import FieldError, Malformed
from shared.scope import Area


class Role(StrEnum):
    """What a person or a machine may be in Daohu. A token carries one or more of them and one or more divisions."""

    COUNTY_ADMIN = "county_admin"
    POVERTY_OFFICE = "poverty_office"
    STATISTICS = "statistics"
    FINANCE = "finance"
    APPLICANT = "applicant"
    REVIEWER = "reviewer"
    APPROVER = "approver"
    PAYER = "payer"
    RELEASER = "releaser"
    AUDITOR = "auditor"
    DISCIPLINE = "discipline"
    SUPERVISOR = "supervisor"
    COUNTY_LEADER = "county_leader"
    TOWN_CHIEF = "town_chief"
    DEPARTMENT_CHIEF = "department_chief"
    TOWN_OFFICE = "town_office"
    LIAISON = "liaison"
    VILLAGE_SECRETARY = "village_secretary"
    VILLAGE_CLERK = "village_clerk"
    VILLAGE_COUNCIL = "village_council"
    FIRST_SECRETARY = "first_secretary"
    TEAM_MEMBER = "team_member"
    PAIRED_CADRE = "paired_cadre"
    ENTERPRISE = "enterprise"
    BACKEND = "backend"
    PRIVACY = "privacy"


@dataclass(frozen=True, slots=True)
class Title:
    """A role in the county's words (中文) and in English, and what its holder is there for."""

    zh: str
    en: str
    duty: str


TITLES = {
    Role.COUNTY_ADMIN: Title(
        "系统管理员", "administrator", "runs the system; no rule of money or procedure bends for him"
    ),
    Role.POVERTY_OFFICE: Title("扶贫办", "poverty office", "measures, assessment, the week's prompts"),
    Role.STATISTICS: Title("统计局", "statistics bureau", "owns registration and dynamic monitoring (REG-006)"),
    Role.FINANCE: Title("财政局", "finance bureau", "receives, allocates and sets money aside"),
    Role.APPLICANT: Title("申报人", "applicant", "applies for projects and tranches"),
    Role.REVIEWER: Title("审核人", "reviewer", "reviews what was applied for"),
    Role.APPROVER: Title("审批人", "approver", "approves what was reviewed"),
    Role.PAYER: Title("拨付人", "payer", "pays what was approved and published"),
    Role.RELEASER: Title("放行人", "releaser", "lets a payment go that another prepared"),
    Role.AUDITOR: Title("审计", "auditor", "reads and checks; writes nothing"),
    Role.DISCIPLINE: Title("纪检", "discipline inspection", "reads, records and answers objections"),
    Role.SUPERVISOR: Title("督查组", "supervisor group", "checks on the spot; withdraws false evidence"),
    Role.COUNTY_LEADER: Title("县级包抓领导", "county leader", "answers for towns; confirms scores"),
    Role.TOWN_CHIEF: Title("镇党政主要负责人", "town chief", "answers for a town; reports each week"),
    Role.DEPARTMENT_CHIEF: Title("部门主要负责人", "department chief", "answers for a department; reports each week"),
    Role.TOWN_OFFICE: Title("镇扶贫办", "town office", "keeps the town's files"),
    Role.LIAISON: Title("扶贫专干", "liaison, specialist", "works in villages and follows every project through"),
    Role.VILLAGE_SECRETARY: Title("村党支部书记", "village secretary", "leads the village's procedures"),
    Role.VILLAGE_CLERK: Title("村文书", "village clerk", "keeps the village's files"),
    Role.VILLAGE_COUNCIL: Title(
        "村务监督委员会", "village supervision council", "watches lists, projects and money of the village"
    ),
    Role.FIRST_SECRETARY: Title("第一书记", "first secretary", "sent to a village; visits, takes part in procedures"),
    Role.TEAM_MEMBER: Title("驻村工作队员", "team member", "works in a village; visits, takes part in procedures"),
    Role.PAIRED_CADRE: Title("结对帮扶干部", "paired cadre", "helps households he is paired with; visits them"),
    Role.ENTERPRISE: Title("帮扶企业", "enterprise", "leads households; sees what hangs on the board"),
    Role.BACKEND: Title("业务系统", "program", "a gateway or the backend of an app, acting for its users"),
    Role.PRIVACY: Title("个人信息查看人", "privacy officer", "sees personal data in full, with a reason, on record"),
}
"""Who they are in life. Source of the roles: XC-004; applicant to releaser are the money chain's; backend and privacy are ours."""


NEVER_LENT = frozenset({Role.PRIVACY, Role.AUDITOR, Role.COUNTY_ADMIN})
"""To see personal data in full, to audit and to run the system is given to a person, not to a place that must be filled."""

FOR = " for "
"""Between who acts and whom he stands in for (代理): "wang for li". No token's subject holds it."""


def is_subject(name: str) -> bool:
    """Whether a name stands for one person on record: in one spelling (NFKC, single blanks), all of it seen, never read as two people."""
    spelled = " ".join(unicodedata.normalize("NFKC", name).split())
    return name == spelled and name.isprintable() and FOR not in f" {name} "


def persons_of(actor: str) -> frozenset[str]:
    """Who stands behind an act as it is on record: "wang for li" are two people of one side."""
    return frozenset(actor.split(FOR))


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated person or machine. `subject` is who, `client` is through which program (idempotency is per client).

    Who stands in for somebody under a mandate (shared/mandates.py) has both names in `subject`, as all records show it.
    """

    subject: str
    client: str
    roles: frozenset[Role]
    divisions: tuple[str, ...]
    area: Area

    @property
    def persons(self) -> frozenset[str]:
        """Who he is when it counts that another has done something: himself, and whom he stands in for."""
        return persons_of(self.subject)

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
