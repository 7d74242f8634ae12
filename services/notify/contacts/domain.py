"""Who is to get the prompts (收信人). Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Appointment:
    """A post (职务) a cadre holds from `since`, up to the day before `until`."""

    cadre_no: str
    post: str
    unit: str
    division: str
    county: str
    since: date
    until: date | None = None

    def held_on(self, day: date) -> bool:
        return self.since <= day and (self.until is None or day < self.until)


@dataclass(frozen=True, slots=True)
class Contact:
    """How a cadre is reached (联系方式). `opted_out`: he answered 退订 and gets nothing more."""

    cadre_no: str
    language: str
    has_phone: bool
    opted_out: bool


NOWHERE = Contact(cadre_no="", language="zh", has_phone=False, opted_out=False)
"""A cadre of whom no phone was ever entered."""


def recipients(appointments: Iterable[Appointment], posts: Sequence[str], day: date) -> dict[str, Appointment]:
    """ALL holders of the wanted posts on a day, by cadre number. Who holds several of them is prompted once, for the first of `posts`.

    Source: NTF-001 (all county leaders, town chiefs, chiefs of helping departments).
    """
    rank = {post: place for place, post in enumerate(posts)}
    chosen: dict[str, Appointment] = {}
    wanted = (a for a in appointments if a.post in rank and a.held_on(day))
    for appointment in sorted(wanted, key=lambda a: (a.cadre_no, rank[a.post], a.division, a.unit)):
        chosen.setdefault(appointment.cadre_no, appointment)
    return chosen
