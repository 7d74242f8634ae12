"""The code lists (代码表) of household files, read from data/codes.

Stored are national standards where there is one: sex GB/T 2261.1, relation GB/T 4761, ethnic group GB/T 3304, education
GB/T 4658; else the codes of the 建档立卡 system. Source: standards.md 1.2 and 7.4 to 7.7.
"""

from csv import DictReader
from pathlib import Path

_DATA = Path(__file__).resolve().parents[3] / "data" / "codes"


def _rows(name: str) -> list[dict[str, str]]:
    with (_DATA / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(DictReader(file))


def _names(name: str) -> dict[str, str]:
    return {row["code"]: row["name"] for row in _rows(name)}


ATTRIBUTE = _names("jdlk_household_attribute")
CAUSE = _names("jdlk_cause")
HOUSING = _names("jdlk_house_safety")
STUDENT = _names("jdlk_student")
HEALTH = _names("jdlk_health")
LABOUR = _names("jdlk_labour")
WORK_PLACE = _names("jdlk_work_place")
ETHNIC = _names("gbt3304_ethnic")
RELATION = _names("gbt4761_relation_2digit")
EDUCATION = _names("gbt4658_education")

HEAD = "02"
"""户主 in GB/T 4761."""

LEAVING = ("01", "02", "03", "04", "08")
"""The member changes (人员变更) by which a person leaves the household."""


def _words(names: dict[str, str]) -> dict[str, str]:
    """What a cell may say → the code: the code itself or its name."""
    return {code: code for code in names} | {name: code for code, name in names.items()}


ATTRIBUTE_WORDS, CAUSE_WORDS, HOUSING_WORDS = _words(ATTRIBUTE), _words(CAUSE), _words(HOUSING)
STUDENT_WORDS, HEALTH_WORDS, LABOUR_WORDS = _words(STUDENT), _words(HEALTH), _words(LABOUR)
WORK_PLACE_WORDS = _words(WORK_PLACE)
SEX_WORDS = {"男": "1", "女": "2", "男性": "1", "女性": "2", "1": "1", "2": "2", "male": "1", "female": "2"}

# Digits mean other things in the 建档立卡 lists than in the national ones (02 is 配偶 here, 户主 there; 壮族 here, 蒙古族
# there), so cells name the relation and the ethnic group in words.
RELATION_WORDS = (
    {name: code for code, name in RELATION.items()}
    | {row["name"]: row["gbt4761"] for row in _rows("jdlk_relation")}
    | {"户主": HEAD, "本人": HEAD}
)
ETHNIC_WORDS = {
    word: row["code"]
    for row in _rows("gbt3304_ethnic")
    for word in (row["name"], row["name"].removesuffix("族"), row["letters"])
}
EDUCATION_WORDS = {name: code for code, name in EDUCATION.items()} | {
    word: row["gbt4658"] for row in _rows("jdlk_education") for word in (row["name"], row["code"])
}
"""Pre-school children (学龄前儿童) have no code in GB/T 4658: an empty string."""
