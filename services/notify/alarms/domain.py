"""What a person must look at (待办提醒), in the words of the office. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class AlarmKind(StrEnum):
    """Why somebody must look."""

    BRIEF_MISSING = "brief_missing"  # 本周重点工作未录入
    PROMPTS_MISSED = "prompts_missed"  # 短信逾期未发
    PROMPT_FAILED = "prompt_failed"  # 短信发送失败
    PROMPT_UNKNOWN = "prompt_unknown"  # 短信结果不明
    OPTED_OUT = "opted_out"  # 收信人退订


_WORDS = {
    AlarmKind.BRIEF_MISSING: (
        "{week} 的重点工作尚未录入，短信暂停发送。请尽快录入。",
        "The key tasks of {week} have not been entered; the prompts wait for them.",
    ),
    AlarmKind.PROMPTS_MISSED: (
        "{week} 有 {count} 条短信（{campaign}）逾期未发。请用其他方式通知。",
        "{count} prompts of {week} ({campaign}) were not sent in time. Tell the people another way.",
    ),
    AlarmKind.PROMPT_FAILED: (
        "发给 {cadre_no} 的 {week} 短信发送失败（{reason}）。请核对手机号后决定是否重发。",
        "The prompt of {week} to {cadre_no} failed ({reason}). Check the number, then decide whether to resend.",
    ),
    AlarmKind.PROMPT_UNKNOWN: (
        "发给 {cadre_no} 的 {week} 短信结果不明。请核实是否收到，再决定是否重发。",
        "Nobody knows whether the prompt of {week} reached {cadre_no}. Ask, then decide whether to resend.",
    ),
    AlarmKind.OPTED_OUT: (
        "{cadre_no} 回复退订，不再发送。重点工作请用其他方式通知。",
        "{cadre_no} has opted out and gets no more prompts. Tell him another way.",
    ),
}


def words(kind: AlarmKind, facts: Mapping[str, Any]) -> tuple[str, str]:
    """What the alarm says, in Chinese and English."""
    zh, en = _WORDS[kind]
    return zh.format(**facts), en.format(**facts)
