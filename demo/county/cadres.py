"""The county's cadres (干部): leaders, chiefs of towns and departments, first secretaries and paired cadres of villages.

Posts as in NTF-001 and XC-004. The titles and departments are those any county has; the persons are generated.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random

from demo.county import names
from demo.county.identity import Identities
from demo.county.model import Cadre, Division, Sex
from shared.events.assessment import Post
from shared.scope import Level

LEADERS = (
    *("县委书记", "县长", "县人大常委会主任", "县政协主席", "县委副书记", "常务副县长", "县纪委书记", "县委组织部部长"),
    *("县委宣传部部长", "县委政法委书记", "县委统战部部长", "副县长(农业)", "副县长(教育卫生)", "副县长(工业交通)"),
)
DEPARTMENTS = (
    *("扶贫开发局", "财政局", "发展改革局", "教育体育局", "卫生计生局", "民政局", "人力资源社会保障局", "农业局"),
    *("林业局", "水利局", "交通运输局", "住房城乡建设局", "国土资源局", "经济贸易局", "文化广电局", "审计局"),
    *("统计局", "环境保护局", "司法局", "公安局", "市场监督管理局", "旅游局", "残疾人联合会", "妇女联合会"),
)
PAIRED_PER_VILLAGE = 2
_SINCE = date(2015, 3, 1)


def cadres(divisions: Sequence[Division], rng: Random, identities: Identities) -> list[Cadre]:
    """All cadres, by number: L leaders, D department chiefs, T two chiefs a town, S first secretaries, P paired cadres."""
    county = next(division for division in divisions if division.level == Level.COUNTY)
    towns = [division for division in divisions if division.level == Level.TOWN]
    villages = [division for division in divisions if division.level == Level.VILLAGE]
    found: list[Cadre] = []

    def appoint(letter: str, running: int, post: Post, title: str, unit: str, division: str) -> None:
        sex = Sex.MALE if rng.random() < 0.75 else Sex.FEMALE
        found.append(
            Cadre(
                cadre_no=f"{county.code[:6]}-{letter}{running:03d}",
                name=names.surname(rng) + names.given(rng, sex),
                post=post.value,
                title=title,
                unit=unit,
                division=division,
                since=_SINCE + timedelta(days=rng.randrange(365)),
                phone=identities.phone(),
            )
        )

    for running, title in enumerate(LEADERS, start=1):
        appoint("L", running, Post.COUNTY_LEADER, title, f"{county.name}委、县政府", county.code)
    for running, department in enumerate(DEPARTMENTS, start=1):
        appoint("D", running, Post.DEPARTMENT_CHIEF, "主要负责人", f"{county.name}{department}", county.code)
    for running, town in enumerate(towns):
        for offset, title in enumerate(("党委书记", "镇长"), start=1):
            appoint("T", 2 * running + offset, Post.TOWN_CHIEF, title, town.name, town.code)
    for running, village in enumerate(villages, start=1):
        appoint("S", running, Post.FIRST_SECRETARY, "第一书记", village.name, village.code)
    for running, village in enumerate(villages):
        for offset in range(1, PAIRED_PER_VILLAGE + 1):
            number = PAIRED_PER_VILLAGE * running + offset
            appoint("P", number, Post.PAIRED_CADRE, "结对帮扶干部", village.name, village.code)
    return found
