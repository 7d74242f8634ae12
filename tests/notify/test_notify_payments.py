"""What was paid to households is told to the leaders in the next Monday's prompt, and the payment's trace goes on to their phones."""

from datetime import date

import pytest
from notify_county import WEEK
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.notify.briefs.schemas import MAX_TASK_LENGTH
from services.notify.outbound.text import MAX_PARTS, Language, require_sendable
from services.notify.payments.domain import LONGEST
from services.notify.payments.store import payments
from services.notify.weeks.domain import Campaign
from services.notify.weeks.policy import PromptPolicy
from shared.events.funds import TranchePaid
from shared.ids import new_id
from shared.telemetry import Spans
from shared.testing import COUNTY, TOWN

BEFORE, OF_MONDAY = date(2016, 11, 3), date(2016, 11, 7)
"""A day of the week before the prompt, and the day of the prompt itself."""


def paid(on: date = BEFORE, *, households: int = 40, amount_fen: int = 12_345_00) -> TranchePaid:
    return TranchePaid(
        project_id=new_id(), project_no="P-1", tranche_id=new_id(), division=TOWN, amount_fen=amount_fen,
        households=households, paid_on=on, entry_seq=1,
    )  # fmt: skip


@pytest.fixture
async def prompted(county):
    await county.person("A", "19900000001")
    assert (await county.enter_brief()).status_code == 201
    return county


async def test_the_prompt_tells_what_was_paid_the_week_before(prompted):
    for event in (paid(), paid(households=2, amount_fen=5), paid(OF_MONDAY, households=900)):
        await prompted.live.hear(event, division=TOWN)
    await prompted.clock_shows(7, 9)
    [text] = await prompted.phone_shows("A")
    assert "上周拨付到户42户12345.05元。请于" in text


async def test_a_week_without_payments_is_not_spoken_of(prompted):
    await prompted.clock_shows(7, 9)
    [text] = await prompted.phone_shows("A")
    assert "完成搬迁入住。请于" in text


async def test_a_payment_heard_twice_is_told_once(prompted):
    await prompted.live.hear(paid(), division=TOWN, times=2)
    await prompted.clock_shows(7, 9)
    [text] = await prompted.phone_shows("A")
    assert "上周拨付到户40户12345.00元。" in text


async def test_a_brief_leaves_room_for_what_will_be_paid(county):
    """The longest tasks that are accepted still make a message that can be sent when much was paid."""
    fits = 0
    for length in range(MAX_TASK_LENGTH, 0, -10):
        if (await county.enter_brief(tasks=("户" * MAX_TASK_LENGTH, "户" * MAX_TASK_LENGTH, "户" * length))).is_success:
            fits = length
            break
    policy = PromptPolicy.of(county.live.service.policies, COUNTY, BEFORE)
    tasks = ["户" * MAX_TASK_LENGTH, "户" * MAX_TASK_LENGTH, "户" * fits]
    longest = [policy.text(Campaign.WEEKLY, WEEK, tasks, language, paid=LONGEST) for language in Language]
    assert fits
    assert max(require_sendable(text) for text in longest) == MAX_PARTS


async def test_payments_no_prompt_can_tell_of_go(prompted):
    await prompted.live.hear(paid(), division=TOWN)
    prompted.live.pass_days(100)
    await prompted.live.hear(paid(date(2017, 2, 8)), division=TOWN)
    async with prompted.live.service.database.read() as tx:
        kept = (await tx.execute(payments.select())).all()
    assert [row.paid_on for row in kept] == [date(2017, 2, 8)]


async def test_the_trace_of_a_payment_ends_at_the_leaders_phone(prompted):
    service, exporter = prompted.live.service, InMemorySpanExporter()
    service.spans = Spans("notify", SimpleSpanProcessor(exporter))
    for _ in range(2):
        with service.spans.span("process funds.tranche_paid.v1"):
            await prompted.live.hear(paid(), division=TOWN)
    await prompted.live.hear(paid(OF_MONDAY), division=TOWN)  # of this week: not told yet
    heard = [span.context.trace_id for span in exporter.get_finished_spans()]
    exporter.clear()
    with service.spans.job("job prompts"):
        await prompted.clock_shows(7, 9)
    found = exporter.get_finished_spans()
    assert [span.context.trace_id for span in found if span.name == "tell the leader by SMS"] == heard
    [submit] = [span for span in found if span.name == "submit SMS"]
    assert [link.context.trace_id for link in submit.links] == heard
    assert WEEK not in "".join(span.to_json() for span in found)
