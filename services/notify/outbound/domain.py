"""A prompt (短信提示) on its way: its states, and what moves it. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from shared.errors import Refusal

MAX_ATTEMPTS = 5
"""Calls of the gateway for one prompt before it counts as failed."""


class State(StrEnum):
    """A prompt's state. It moves forward only; `unknown` is moved on by a person."""

    HELD = "held"  # 待发: something is missing (reason), it goes out as soon as that is there
    PLANNED = "planned"  # 待发送
    SENDING = "sending"  # 发送中: claimed by a sender, the gateway may have been called
    ACCEPTED = "accepted"  # 网关已受理
    DELIVERED = "delivered"  # 已送达
    FAILED = "failed"  # 发送失败
    UNKNOWN = "unknown"  # 结果不明: no evidence either way; a person decides
    SKIPPED = "skipped"  # 不发 (reason)
    MISSED = "missed"  # 逾期未发: its time passed before it could be sent


OPEN = frozenset({State.HELD, State.PLANNED})
"""States in which nothing has been sent and something still may be."""


class Reason(StrEnum):
    """Why a prompt is held, skipped, missed or failed."""

    NO_BRIEF = "no_brief"  # 本周重点工作未录入
    NO_PHONE = "no_phone"  # 无手机号
    OPTED_OUT = "opted_out"  # 已退订
    LEFT_POST = "left_post"  # 已离任
    REPORTED = "reported"  # 已报告, a reminder has become needless
    TOO_LATE = "too_late"  # 超过补发时限
    TEST_PHONE = "test_phone"  # 测试号段不得走真实通道
    REJECTED = "rejected"  # 网关拒绝
    TRIES_EXHAUSTED = "tries_exhausted"
    NOT_DELIVERED = "not_delivered"  # 未送达
    NO_EVIDENCE = "no_evidence"  # 无回执
    GIVEN_UP = "given_up"  # 人工放弃


class Receipt(StrEnum):
    """What a gateway says of a message (回执)."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    FAILED = "failed"
    REJECTED = "rejected"  # it never went out: safe to send again


class Decision(StrEnum):
    """What a person decides on a prompt that is `unknown` or `failed`."""

    RESEND = "resend"
    GIVE_UP = "give_up"


class NothingToDecide(Refusal):
    code = "nothing_to_decide"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a prompt stands: its state, and why."""

    state: State
    reason: Reason | None = None


def readiness(*, in_post: bool, opted_out: bool, has_phone: bool, has_text: bool, reported: bool = False) -> Standing:
    """Where a prompt that has not been sent ought to stand. Every skip has its reason."""
    if not in_post:
        return Standing(State.SKIPPED, Reason.LEFT_POST)
    if reported:
        return Standing(State.SKIPPED, Reason.REPORTED)
    if opted_out:
        return Standing(State.SKIPPED, Reason.OPTED_OUT)
    if not has_text:
        return Standing(State.HELD, Reason.NO_BRIEF)
    if not has_phone:
        return Standing(State.HELD, Reason.NO_PHONE)
    return Standing(State.PLANNED)


def after_silence(*, silence_is_proof: bool, attempt: int) -> Standing:
    """A lease ran out and the gateway has no trace. Only a gateway that has shown to be idle is believed; else a person decides.

    Source: handbook sms.md, "exactly one prompt per person per week".
    """
    if not silence_is_proof:
        return Standing(State.UNKNOWN, Reason.NO_EVIDENCE)
    return after_not_sent(attempt=attempt)


def after_not_sent(*, attempt: int) -> Standing:
    """The message certainly did not go out: once more, up to MAX_ATTEMPTS."""
    if attempt >= MAX_ATTEMPTS:
        return Standing(State.FAILED, Reason.TRIES_EXHAUSTED)
    return Standing(State.PLANNED)


def after_receipt(state: State, receipt: Receipt, *, attempt: int, of_attempt: int) -> Standing | None:
    """Where a receipt moves a prompt; None when it says nothing new. Receipts come in any order and more than once.

    That an earlier attempt went out settles the prompt; that it did not, says nothing of the one now under way.
    """
    if of_attempt != attempt and receipt in (Receipt.FAILED, Receipt.REJECTED):
        return None
    match receipt:
        case Receipt.DELIVERED if state is not State.DELIVERED:
            return Standing(State.DELIVERED)
        case Receipt.FAILED if state in (State.SENDING, State.ACCEPTED, State.UNKNOWN):
            return Standing(State.FAILED, Reason.NOT_DELIVERED)
        case Receipt.ACCEPTED if state in (State.PLANNED, State.SENDING, State.UNKNOWN, State.MISSED):
            return Standing(State.ACCEPTED)
        case Receipt.REJECTED if state in (State.SENDING, State.UNKNOWN):
            return after_not_sent(attempt=attempt)
        case _:
            return None


def decide(state: State, decision: Decision) -> Standing:
    """A person decides what the machine may not. Raises NothingToDecide when the prompt is not waiting for one."""
    if state not in (State.UNKNOWN, State.FAILED):
        raise NothingToDecide("Only prompts that are unknown or failed wait for a decision.", state=state)
    return Standing(State.PLANNED) if decision is Decision.RESEND else Standing(State.SKIPPED, Reason.GIVEN_UP)
