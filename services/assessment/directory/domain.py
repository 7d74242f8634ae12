"""Who holds which post (任职): the rules of the directory. Pure."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from shared.errors import Refusal
from shared.scope import Level, level_of


class PostKind(StrEnum):
    """Posts (职务) of the directory. Source: NTF-001, XC-004."""

    COUNTY_LEADER = "county_leader"
    TOWN_CHIEF = "town_chief"
    DEPARTMENT_CHIEF = "department_chief"
    FIRST_SECRETARY = "first_secretary"
    PAIRED_CADRE = "paired_cadre"


LEVELS: dict[PostKind, Level] = {
    PostKind.COUNTY_LEADER: Level.COUNTY,
    PostKind.TOWN_CHIEF: Level.TOWN,
    PostKind.DEPARTMENT_CHIEF: Level.COUNTY,
    PostKind.FIRST_SECRETARY: Level.VILLAGE,
    PostKind.PAIRED_CADRE: Level.VILLAGE,
}
"""The level of the division a post belongs to; of a helper it is the village he is paired with (结对村)."""

WORDS: dict[PostKind, str] = {
    PostKind.COUNTY_LEADER: "县级领导",
    PostKind.TOWN_CHIEF: "镇党政主要负责人",
    PostKind.DEPARTMENT_CHIEF: "部门主要负责人",
    PostKind.FIRST_SECRETARY: "第一书记",
    PostKind.PAIRED_CADRE: "结对帮扶干部",
}


class PostEnded(Refusal):
    code = "post_ended"


class PostHeld(Refusal):
    code = "post_held"


class EndsBeforeItBegan(Refusal):
    code = "ends_before_it_began"


class WrongLevel(Refusal):
    code = "wrong_level"


@dataclass(frozen=True, slots=True)
class Appointment:
    """A post a cadre holds from `since` up to the day before `until` (任职)."""

    cadre_no: str
    post: PostKind
    title: str
    unit: str
    division: str
    since: date
    until: date | None = None

    @property
    def identity(self) -> tuple[str, str, str, date]:
        """What makes two notes of an appointment the same one."""
        return self.cadre_no, self.post, self.unit, self.since

    def held_within(self, first: date, last: date) -> bool:
        """Whether it was held on any day from `first` to `last`."""
        return self.since <= last and (self.until is None or self.until > first)


def require_level(post: PostKind, division: str) -> None:
    """A post belongs to a division of its level."""
    if not fits(post, division):
        raise WrongLevel(f"The post {post} belongs to a division of the level {LEVELS[post]}. Give its 12-digit code.")


def fits(post: PostKind, division: str) -> bool:
    return level_of(division) is LEVELS[post]


def require_ending(appointment: Appointment, until: date) -> None:
    """A post that is held may end, on a day after it began. Raises PostEnded, EndsBeforeItBegan."""
    if appointment.until is not None:
        raise PostEnded(f"This post ended on {appointment.until.isoformat()} already.")
    if until <= appointment.since:
        raise EndsBeforeItBegan(f"The post is held since {appointment.since.isoformat()}: give a later day.")


def main_post(appointments: list[Appointment]) -> Appointment:
    """The post a cadre is assessed in: the latest begun; of several, the first in the order of posts, then by division and unit."""
    rank = {post: place for place, post in enumerate(PostKind)}
    return min(appointments, key=lambda a: (-a.since.toordinal(), rank[a.post], a.division, a.unit))
