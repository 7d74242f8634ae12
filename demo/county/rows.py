"""The rows of a county's files: what each record says in the cells of the import templates, by column key.

Cells hold the words people write, not codes.
"""

from collections.abc import Callable
from dataclasses import replace

from demo.county import people
from demo.county.model import Cadre, County, Division, Household, Measure, Payee, Person, Sex
from services.registry.households import codes
from shared.money import yuan

REMARK = "生成数据，非真实住户 (ours, generated)"
STANDARD = "国家标准"
BANK = "测试农商银行"
_STATUS = {"candidate": "识别中", "registered": "未脱贫"}
_RELATION = {
    people.HEAD: "户主",
    people.SPOUSE: "配偶",
    people.SON: "之子",
    people.DAUGHTER: "之女",
    people.FATHER: "之父",
    people.MOTHER: "之母",
    people.OTHER: "其他",
}
_EDUCATION = {
    people.ILLITERATE: "文盲或半文盲",
    people.PRIMARY: "小学",
    people.MIDDLE: "初中",
    people.SENIOR: "高中",
    people.COLLEGE: "大专及以上",
    people.PRESCHOOL: "学龄前儿童",
}
_LEVEL = {"province": "省", "city": "市", "county": "县", "town": "镇", "village": "村"}
_POST = {
    "county_leader": "县级领导",
    "town_chief": "镇党政主要负责人",
    "department_chief": "部门主要负责人",
    "first_secretary": "第一书记",
    "paired_cadre": "结对帮扶干部",
}
Row = dict[str, str]


def division(given: Division) -> Row:
    return {"code": given.code, "name": given.name, "level": _LEVEL[given.level], "parent": given.parent}


def household(given: Household) -> Row:
    return {
        "household_no": given.number,
        "division": given.division,
        "group": given.group,
        "status": _STATUS[given.status],
        "attribute": codes.ATTRIBUTE[given.attribute],
        "cause": codes.CAUSE[given.cause],
        "other_cause": codes.CAUSE.get(given.other_cause, ""),
        "identified_on": given.identified_on.isoformat() if given.identified_on else "",
        "standard": STANDARD,
        "housing": codes.HOUSING[given.housing],
        "safe_water": _yes(given.safe_water),
        "remark": REMARK,
        **{f"income_{year}": yuan(fen) for year, fen in given.incomes_fen.items()},
    }


def person(home: Household, given: Person) -> Row:
    return {
        "household_no": home.number,
        "name": given.name,
        "sex": "男" if given.sex is Sex.MALE else "女",
        "id_number": given.id_number,
        "relation": _RELATION[given.relation],
        "ethnic": codes.ETHNIC[given.ethnic],
        "education": _EDUCATION[given.education],
        "student": codes.STUDENT[given.student],
        "health": codes.HEALTH[given.health],
        "labour": codes.LABOUR[given.labour],
        "work_place": codes.WORK_PLACE.get(given.work_place, ""),
        "work_months": str(given.work_months) if given.work_months else "",
        "dibao": _yes(given.dibao),
        "insured": _yes(given.insured),
        "pension": _yes(given.pension),
    }


def measure(given: Measure) -> Row:
    return {
        "household_no": given.household_no,
        "pathway": given.pathway,
        "sub": given.sub,
        "scope": given.scope,
        "year": str(given.year),
        "persons": str(given.persons) if given.persons else "",
        "started_on": given.started_on.isoformat(),
        "remark": REMARK,
    }


def payee(given: Payee) -> Row:
    return {
        "household_no": given.household_no,
        "account_name": given.holder,
        "card_number": given.card,
        "bank": BANK,
    }


def cadre(given: Cadre) -> Row:
    return {
        "cadre_no": given.cadre_no,
        "name": given.name,
        "post": _POST[given.post],
        "title": given.title,
        "unit": given.unit,
        "division": given.division,
        "since": given.since.isoformat(),
    }


def contact(given: Cadre) -> Row:
    return {"cadre_no": given.cadre_no, "phone": given.phone}


Spoil = Callable[[list[Row], list[Row]], None]


def bad(county: County) -> tuple[list[Row], list[Row]]:
    """Rows of households and of people, of which each of the first few households has one thing wrong."""
    homes: list[Row] = []
    members: list[Row] = []
    for index, home in enumerate(county.spare):
        first = [household(home)]
        rest = [person(home, member) for member in home.people]
        if index < len(_SPOILED):
            _SPOILED[index](first, rest)
        homes.extend(first)
        members.extend(rest)
    members.append(person(county.spare[-1], replace(county.spare[-1].head, relation=people.OTHER)))
    return homes, members


def _change(which: int, key: str, text: str) -> Spoil:
    """Spoils a cell of the household (0) or of its first member (1)."""

    def spoil(homes: list[Row], members: list[Row]) -> None:
        (homes if which == 0 else members)[0][key] = text

    return spoil


def _wrong_check_digit(_: list[Row], members: list[Row]) -> None:
    number = members[0]["id_number"]
    members[0]["id_number"] = number[:-1] + ("1" if number[-1] != "1" else "2")


def _wrong_sex(_: list[Row], members: list[Row]) -> None:
    members[0]["sex"] = "女" if members[0]["sex"] == "男" else "男"


_SPOILED: tuple[Spoil, ...] = (
    _wrong_check_digit,
    _wrong_sex,
    _change(0, "division", "610926199299"),
    _change(0, "income_2016", "约三千"),
    _change(0, "identified_on", "2014-13-45"),
    _change(0, "cause", "运气不好"),
    _change(1, "relation", "邻居"),
)


def _yes(value: bool) -> str:
    return "是" if value else "否"
