"""What the pack says about prompts and reports, read once: schedule, posts, texts. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from services.notify.outbound import text
from services.notify.outbound.text import Language
from services.notify.payments.domain import NOTHING, Paid
from services.notify.weeks.domain import Campaign, Moment, Schedule, monday_of
from shared.money import yuan
from shared.policy import PolicyBook

_TEMPLATE = {Campaign.WEEKLY: "weekly_prompt", Campaign.REMINDER: "reminder"}


@dataclass(frozen=True, slots=True)
class PromptPolicy:
    """How a county prompts (短信提示办法). Source: NTF-001 to NTF-003; pack keys notify.*."""

    schedule: Schedule
    posts: tuple[str, ...]
    signs: Mapping[str, str]
    templates: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, policies: PolicyBook, county: str, on: date) -> "PromptPolicy":
        """Raises PolicyMissing when the county's pack does not speak of prompts."""
        prompt = policies.value("notify.weekly_prompt", county, on)
        schedule = Schedule(
            prompt=Moment.read(prompt),
            catch_up_until=Moment.read(policies.value("notify.catch_up_until", county, on)),
            due=Moment.read(policies.value("notify.report_due", county, on)),
        )
        signs = policies.value("notify.sender_sign", county, on)
        return cls(schedule, tuple(prompt["posts"]), signs, policies.value("notify.templates", county, on))

    def text(self, campaign: Campaign, week: str, tasks: list[str], language: Language, *, paid: Paid = NOTHING) -> str:
        """The message of a campaign and week, sign in front; `paid` is of the week before. Source: NTF-002 (本周重点工作提示短信)."""
        values = {
            "week": text.week_label(monday_of(week), language),
            "tasks": text.tasks_line(tasks, language),
            "due": text.moment_label(self.schedule.due.within(week), language),
            "paid": self._paid_line(paid, language),
        }
        return self.signs[language] + text.render(self.templates[_TEMPLATE[campaign]][language], values)

    def _paid_line(self, paid: Paid, language: Language) -> str:
        """Empty when nothing was paid, or when the pack does not tell of it."""
        if paid == NOTHING or not (line := self.templates.get("paid_last_week")):
            return ""
        return text.render(line[language], {"households": str(paid.households), "yuan": yuan(paid.amount_fen)})
