"""What a check says: all is well, look at it soon, or act now; and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK, WARN, FAIL = "OK", "WARN", "FAIL"


EXIT_CODES = {State.OK: 0, State.WARN: 1, State.FAIL: 2}

NAMES = {
    "clock": "时钟",
    "keys": "密钥",
    "sign-in": "登录",
    "database": "数据库",
    "topics": "主题",
    "outbox": "待发事件",
    "lag": "消费滞后",
    "dead letters": "死信",
    "retention": "保留期限",
    "backup": "备份",
    "log": "存证日志",
    "disk": "磁盘",
}
"""The checks, and what they are called in Chinese."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is one of NAMES; `of` what it looked at, such as a service; `do` is empty when all is well."""

    check: str
    of: str
    state: State
    says: str
    do: str = ""

    def __str__(self) -> str:
        name = f"{self.check} ({NAMES[self.check]})" + (f" {self.of}" if self.of else "")
        return f"{self.state:<5} {name}: {self.says}" + (f" → {self.do}" if self.do else "")


def worst(findings: Iterable[Finding]) -> State:
    return max((finding.state for finding in findings), key=EXIT_CODES.__getitem__, default=State.OK)
