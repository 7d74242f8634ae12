"""How a prompt moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.outbound.domain import (
    MAX_ATTEMPTS,
    Decision,
    NothingToDecide,
    Reason,
    Receipt,
    Standing,
    State,
    after_not_sent,
    after_receipt,
    after_silence,
    decide,
    readiness,
)

READY = {"in_post": True, "opted_out": False, "has_phone": True, "has_text": True}


@pytest.mark.parametrize(
    ("but", "expected"),
    [
        ({}, Standing(State.PLANNED)),
        ({"in_post": False}, Standing(State.SKIPPED, Reason.LEFT_POST)),
        ({"opted_out": True}, Standing(State.SKIPPED, Reason.OPTED_OUT)),
        ({"has_text": False}, Standing(State.HELD, Reason.NO_BRIEF)),
        ({"has_phone": False}, Standing(State.HELD, Reason.NO_PHONE)),
        ({"reported": True}, Standing(State.SKIPPED, Reason.REPORTED)),
    ],
)
def test_every_prompt_that_is_not_planned_has_its_reason(but, expected):
    assert readiness(**{**READY, **but}) == expected


def test_silence_of_a_gateway_that_may_forget_is_left_to_a_person():
    assert after_silence(silence_is_proof=False, attempt=1) == Standing(State.UNKNOWN, Reason.NO_EVIDENCE)


def test_silence_that_is_proof_allows_another_attempt():
    assert after_silence(silence_is_proof=True, attempt=1) == Standing(State.PLANNED)


def test_attempts_end():
    assert after_not_sent(attempt=MAX_ATTEMPTS) == Standing(State.FAILED, Reason.TRIES_EXHAUSTED)
    assert after_not_sent(attempt=MAX_ATTEMPTS - 1) == Standing(State.PLANNED)


def test_a_receipt_that_comes_late_does_not_move_back():
    assert after_receipt(State.DELIVERED, Receipt.ACCEPTED, attempt=1, of_attempt=1) is None


def test_a_late_receipt_stops_a_resend():
    assert after_receipt(State.PLANNED, Receipt.ACCEPTED, attempt=1, of_attempt=1) == Standing(State.ACCEPTED)


@pytest.mark.parametrize("receipt", [Receipt.REJECTED, Receipt.FAILED])
def test_a_failure_of_an_earlier_attempt_does_not_touch_the_one_under_way(receipt):
    assert after_receipt(State.SENDING, receipt, attempt=2, of_attempt=1) is None


def test_a_delivery_of_an_earlier_attempt_settles_the_prompt():
    assert after_receipt(State.SENDING, Receipt.DELIVERED, attempt=2, of_attempt=1) == Standing(State.DELIVERED)


def test_a_failure_told_again_does_not_undo_the_decision_to_resend():
    assert after_receipt(State.PLANNED, Receipt.FAILED, attempt=1, of_attempt=1) is None


@given(st.permutations([Receipt.ACCEPTED, Receipt.ACCEPTED, Receipt.DELIVERED, Receipt.DELIVERED]))
def test_receipts_in_any_order_end_the_same(receipts):
    state = State.SENDING
    for receipt in receipts:
        if moved := after_receipt(state, receipt, attempt=1, of_attempt=1):
            state = moved.state
    assert state is State.DELIVERED


def test_only_what_waits_for_a_person_can_be_decided():
    assert decide(State.UNKNOWN, Decision.RESEND) == Standing(State.PLANNED)
    with pytest.raises(NothingToDecide):
        decide(State.DELIVERED, Decision.RESEND)
