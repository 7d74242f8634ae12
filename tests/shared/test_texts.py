"""shared.texts: what stays in the open for good takes nobody's number, in whichever service it is written."""

import pytest
from pydantic import BaseModel, ValidationError

from services.assessment.facts.schemas import WithdrawalIn
from services.assessment.scores.schemas import AppealIn, ConfirmationIn
from services.funds.approvals.schemas import DecisionIn
from services.funds.projects.schemas import ProjectIn
from services.funds.tranches.schemas import VoidIn
from services.registry.households.schemas import UnmaskIn
from shared.pii import TEST_CARD_PREFIX

CASES: list[tuple[type[BaseModel], str]] = [
    (DecisionIn, "reason"), (ProjectIn, "description"), (ProjectIn, "performance_target"), (VoidIn, "reason"),
    (WithdrawalIn, "reason"), (AppealIn, "reason"), (ConfirmationIn, "answer"), (UnmaskIn, "reason"),
]  # fmt: skip


@pytest.mark.parametrize("number", ["19900123456", f"{TEST_CARD_PREFIX}0000000000015"])
@pytest.mark.parametrize(("order", "field"), CASES)
def test_a_text_in_the_open_takes_no_phone_and_no_card(order: type[BaseModel], field: str, number: str) -> None:
    with pytest.raises(ValidationError) as refused:
        order.model_validate({field: f"请联系 {number}"})
    assert {"personal_number"} == {error["type"] for error in refused.value.errors() if error["loc"] == (field,)}
