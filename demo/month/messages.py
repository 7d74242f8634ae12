"""Step 5: every Monday the week's key tasks go out by SMS; some report, and who did not by Friday is reminded."""

from datetime import datetime
from typing import Any

from demo import cast
from demo.county import Cadre
from demo.month.stage import Stage, check

PROMPTED_POSTS = frozenset({"county_leader", "town_chief", "department_chief"})
"""Source: NTF-001."""

TASKS: dict[str, tuple[str, ...]] = {
    "2016-W44": ("核对建档立卡数据", "退出户对照五项标准逐户核查"),
    "2016-W45": ("脱贫攻坚冲刺大会部署落实", "产业补助清单公示"),
    "2016-W46": ("易地搬迁入住率提升", "公示异议限时答复"),
    "2016-W47": ("到户资金拨付", "结对帮扶干部入户走访"),
    "2016-W48": ("年度分红兑付", "考核资料归档"),
}
"""The key tasks of each week (ours), by ISO week."""

_ON_TIME, _LATE = 0.72, 0.92
"""Up to which mood (0 … 1) somebody reports before Friday evening, and up to which the reminder works."""

_REPORTS = ("本周任务已完成，下周继续推进。", "已入户核查，问题已列清单整改。", "按计划推进，无突出问题。")


class Messages:
    """The weekly prompts, the phones' answers, the reminders."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.recipients = [cadre for cadre in stage.county.cadres if cadre.post in PROMPTED_POSTS]

    def enter_briefs(self) -> None:
        """The office enters the key tasks of each week."""
        for week, tasks in TASKS.items():
            body = {"division": cast.COUNTY, "week": week, "tasks": list(tasks)}
            self._stage.driver.post(cast.POVERTY_OFFICE, "/notify/v1/briefs", f"brief:{week}", body)

    def prompted(self, week: str) -> None:
        """Monday after nine: everybody has it."""
        shown = self._week(week)
        check(
            shown["sent"] == len(self.recipients),
            f"{week}: {shown['sent']} of {len(self.recipients)} prompts were sent",
        )
        self._stage.say(f"{week} 周一短信已发 {shown['sent']} 人", f"{week}: {shown['sent']} prompts sent")

    def reply_on_time(self, week: str, at: datetime) -> None:
        self._reply(week, at, [cadre for cadre in self.recipients if self._mood(week, cadre) < _ON_TIME])

    def reply_late(self, week: str, at: datetime) -> None:
        self._reply(week, at, [cadre for cadre in self.recipients if _ON_TIME <= self._mood(week, cadre) < _LATE])

    def reminded(self, week: str) -> None:
        """Friday after six: who has not reported is reminded."""
        shown = self._week(week)
        missing = sum(self._mood(week, cadre) >= _ON_TIME for cadre in self.recipients)
        check(shown["reminded"] == missing, f"{week}: {shown['reminded']} reminded, {missing} had not reported")
        self._stage.say(f"{week} 周五催报 {missing} 人", f"{week}: {missing} reminded")

    def result(self) -> dict[str, int]:
        """The counts of all weeks, and that a phone shows each prompt once."""
        weeks = [self._week(week) for week in TASKS]
        total = {key: sum(week[key] for week in weeks) for key in ("due", "sent", "replied", "on_time", "reminded")}
        someone = self.recipients[0]
        shown = self._stage.driver.pages(cast.ADMIN, f"/notify/v1/phones/{someone.cadre_no}/messages")
        reminders = sum(self._mood(week, someone) >= _ON_TIME for week in TASKS)
        check(len(shown) == len(TASKS) + reminders, f"the phone of {someone.cadre_no} shows {len(shown)} messages")
        return total

    def _week(self, week: str) -> Any:
        return self._stage.driver.get(cast.POVERTY_OFFICE, f"/notify/v1/weeks/{week}")

    def _mood(self, week: str, cadre: Cadre) -> float:
        """Towns differ in how they report: their mood is mixed in."""
        place = self._stage.rng("reports", cadre.unit).random()
        return 0.75 * self._stage.rng("reports", week, cadre.cadre_no).random() + 0.25 * place

    def _reply(self, week: str, at: datetime, cadres: list[Cadre]) -> None:
        for cadre in cadres:
            body = {
                "from": cadre.phone,
                "text": self._stage.rng("text", week, cadre.cadre_no).choice(_REPORTS),
                "received_at": at.isoformat(),
                "message_ref": f"{week}-{cadre.cadre_no}",
            }
            self._stage.driver.post(cast.SMS_GATEWAY, "/notify/v1/inbound", f"sms:{week}:{cadre.cadre_no}", body)
