"""Exactly one prompt a person and week, whatever happens to senders and gateway."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from notify_county import County

from services.notify import jobs
from services.notify.api import ROUTERS
from services.notify.campaigns import service as campaigns
from services.notify.consumers import HANDLERS
from services.notify.outbound.domain import MAX_ATTEMPTS, Reason, Receipt
from services.notify.outbound.gateway import Accepted, Message, Rejected, Unknown, submit_guarded
from services.notify.outbound.sender import Pace, Sender
from services.notify.settings import Settings
from services.notify.tables import metadata
from shared.clock import county_instant
from shared.roles import Role
from shared.testing import OTHER_TOWN, running, settings_for

FAST = Pace(
    batch=4,
    call=timedelta(milliseconds=60),
    lease=timedelta(milliseconds=400),
    grace=timedelta(milliseconds=100),
    first_retry=timedelta(0),
    look_again=timedelta(milliseconds=20),
)

PATIENT = replace(FAST, call=timedelta(seconds=60), lease=timedelta(seconds=120))
"""For gateways that ask a service while they are called: on a busy machine that takes longer than FAST waits, and then the answer is
unknown, the silence counts as proof, and a third attempt is right."""

MONDAY_AT_NINE = county_instant(date(2016, 11, 7), 9)


class Killed(BaseException):
    """The sender's process dies here; nothing of it runs any more."""


class Phones:
    """A gateway that keeps what every phone got. Whatever a subclass does to the caller, its memory is the truth."""

    real = False

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.idle = True

    def deliver(self, message: Message) -> None:
        self.got.append(message)

    async def submit(self, message: Message) -> Accepted | Rejected | Unknown:
        self.deliver(message)
        return Accepted()

    async def evidence(self, message_id: str) -> tuple[Receipt, ...]:
        return (Receipt.ACCEPTED, Receipt.DELIVERED) if any(m.id == message_id for m in self.got) else ()

    async def silence_is_proof(self) -> bool:
        return self.idle

    @property
    def per_phone(self) -> Counter[str]:
        return Counter(message.phone for message in self.got)


class Troubled(Phones):
    """Everything a gateway can do to a sender, by the luck of a seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.luck = random.Random(seed)

    async def submit(self, message: Message) -> Accepted | Rejected | Unknown:
        fate = self.luck.choice(("killed before", "killed after", "late", "lost", "cut", "busy", "good", "good"))
        await asyncio.sleep(self.luck.uniform(0, 0.01))
        if fate == "busy":
            return Rejected(permanent=False)
        if fate == "lost":
            return Unknown()
        if fate == "killed before":
            raise Killed
        self.deliver(message)
        if fate == "killed after":
            raise Killed
        if fate == "late":
            await asyncio.sleep(1)
        if fate == "cut":
            raise ConnectionResetError
        return Accepted()


class Scripted(Phones):
    """Answers the given outcomes first, without delivering, then works."""

    def __init__(self, *outcomes: Rejected | Unknown) -> None:
        super().__init__()
        self.outcomes = list(outcomes)

    async def submit(self, message: Message) -> Accepted | Rejected | Unknown:
        return self.outcomes.pop(0) if self.outcomes else await super().submit(message)


@pytest.fixture
async def monday(county) -> AsyncIterator:
    """One town chief whose prompt is planned and not sent: it is Monday at nine."""
    await county.person("T", "19900000001")
    await county.enter_brief()
    county.live.clock.move_to(MONDAY_AT_NINE)
    async with county.live.service.work() as work:
        await campaigns.tick(work)
    return county


async def send(county, gateway, pace=FAST):
    await Sender(county.live.service, gateway, pace=pace).run()


async def the_prompt(county):
    (prompt,) = (await county.office.get("/notify/v1/prompts")).json()["items"]
    return prompt


async def test_a_prompt_is_accepted_and_then_delivered(monday):
    gateway = Phones()
    await send(monday, gateway)
    prompt = await the_prompt(monday)
    assert (prompt["state"], prompt["attempt"], len(gateway.got)) == ("delivered", 1, 1)


async def test_who_opts_out_between_planning_and_sending_gets_nothing(monday):
    await monday.reply("19900000001", "T", ref="1", day=7, hour=9)
    gateway = Phones()
    await send(monday, gateway)
    assert ((await the_prompt(monday))["reason"], gateway.got) == ("opted_out", [])


async def test_a_sender_killed_after_the_call_has_sent_and_is_believed(monday):
    class Deadly(Phones):
        async def submit(self, message):
            self.deliver(message)
            raise Killed

    gateway = Deadly()
    with pytest.raises(Killed):
        await send(monday, gateway)
    await send(monday, gateway)
    assert ((await the_prompt(monday))["state"], len(gateway.got)) == ("delivered", 1)


async def test_an_answer_that_got_lost_is_sent_again_once_the_silence_is_proof(monday):
    gateway = Scripted(Unknown())
    await send(monday, gateway)
    prompt = await the_prompt(monday)
    assert (prompt["state"], prompt["attempt"], len(gateway.got)) == ("delivered", 2, 1)


async def test_without_evidence_a_person_decides(monday):
    gateway = Scripted(Unknown())
    gateway.idle = False
    await send(monday, gateway)
    prompt = await the_prompt(monday)
    assert (prompt["state"], prompt["reason"], gateway.got) == ("unknown", "no_evidence", [])
    assert await monday.alarms() == ["prompt_unknown"]
    answer = await monday.office.post(f"/notify/v1/prompts/{prompt['id']}/decisions", {"decision": "resend"})
    assert (answer.status_code, answer.json()["state"]) == (201, "planned")
    await send(monday, gateway)
    assert ((await the_prompt(monday))["state"], len(gateway.got)) == ("delivered", 1)


async def test_what_went_well_needs_no_decision(monday):
    await send(monday, Phones())
    prompt = await the_prompt(monday)
    answer = await monday.office.post(f"/notify/v1/prompts/{prompt['id']}/decisions", {"decision": "resend"})
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_decide")


async def test_a_final_refusal_is_not_tried_again_and_is_an_alarm(monday):
    gateway = Scripted(Rejected(permanent=True))
    await send(monday, gateway)
    prompt = await the_prompt(monday)
    assert (prompt["state"], prompt["reason"], prompt["attempt"]) == ("failed", "rejected", 1)
    assert await monday.alarms() == ["prompt_failed"]


async def test_a_resend_that_fails_again_is_an_alarm_again(monday):
    gateway = Scripted(Rejected(permanent=True), Rejected(permanent=True))
    await send(monday, gateway)
    (alarm,) = (await monday.office.get("/notify/v1/alarms")).json()["items"]
    await monday.office.post(f"/notify/v1/alarms/{alarm['id']}/acknowledgements")
    prompt = await the_prompt(monday)
    await monday.office.post(f"/notify/v1/prompts/{prompt['id']}/decisions", {"decision": "resend"})
    await send(monday, gateway)
    assert await monday.alarms() == ["prompt_failed"]


async def test_a_passing_refusal_is_tried_up_to_the_limit(monday):
    gateway = Scripted(*[Rejected(permanent=False)] * (MAX_ATTEMPTS - 1))
    await send(monday, gateway)
    assert ((await the_prompt(monday))["attempt"], len(gateway.got)) == (MAX_ATTEMPTS, 1)


async def test_past_the_limit_of_attempts_it_has_failed(monday):
    gateway = Scripted(*[Rejected(permanent=False)] * MAX_ATTEMPTS)
    await send(monday, gateway)
    assert (await the_prompt(monday))["reason"] == "tries_exhausted"


async def test_a_call_is_not_begun_when_the_lease_may_end_before_it(monday):
    pace = Pace(call=timedelta(seconds=2), lease=timedelta(seconds=1), grace=timedelta(seconds=0))
    gateway = Phones()
    sender = asyncio.create_task(send(monday, gateway, pace))
    done, _ = await asyncio.wait({sender}, timeout=0.5)
    sender.cancel()
    assert (gateway.got, done) == ([], set())
    assert (await the_prompt(monday))["attempt"] <= 1


async def test_numbers_of_the_test_block_never_reach_a_real_gateway():
    gateway = Phones()
    gateway.real = True
    refused = await submit_guarded(gateway, Message(id="1.1", phone="19900000001", text="x"))
    assert (refused, gateway.got) == (Rejected(permanent=True, reason=Reason.TEST_PHONE), [])
    assert await submit_guarded(gateway, Message(id="1.1", phone="13812345678", text="x")) == Accepted()


async def test_a_receipt_brought_twice_takes_effect_once(monday):
    class Silent(Phones):
        async def evidence(self, message_id):
            return ()

    gateway = Silent()
    await send(monday, gateway)
    assert (await the_prompt(monday))["state"] == "accepted"
    order = {"message_id": gateway.got[0].id, "type": "delivered"}
    statuses = [(await monday.gateway.post("/notify/v1/receipts", order)).status_code for _ in range(2)]
    assert statuses == [204, 204]
    assert (await the_prompt(monday))["state"] == "delivered"
    assert len(await monday.recorded("notify.prompt_sent.v1")) == 1


async def test_a_late_rejection_of_the_first_attempt_does_not_send_a_third_time(monday):
    """It comes while the second attempt is at the gateway; believed, it would put the prompt back into the queue."""

    class Late(Phones):
        async def submit(self, message):
            head, _, attempt = message.id.partition(".")
            if attempt == "1":
                return Rejected(permanent=False)
            answer = await monday.gateway.post("/notify/v1/receipts", {"message_id": f"{head}.1", "type": "rejected"})
            assert answer.status_code == 204
            return await super().submit(message)

    gateway = Late()
    await send(monday, gateway, PATIENT)
    prompt = await the_prompt(monday)
    assert (prompt["state"], prompt["attempt"], len(gateway.got)) == ("delivered", 2, 1)


async def test_a_receipt_of_an_attempt_that_was_never_made_is_not_found(monday):
    gateway = Phones()
    await send(monday, gateway)
    order = {"message_id": gateway.got[0].id.replace(".1", ".2"), "type": "delivered"}
    assert (await monday.gateway.post("/notify/v1/receipts", order)).status_code == 404


@pytest.mark.parametrize("message_id", ["x", "0" * 32 + ".1", "1.1"])
async def test_a_receipt_of_no_message_of_ours_is_not_found(monday, message_id):
    answer = await monday.gateway.post("/notify/v1/receipts", {"message_id": message_id, "type": "delivered"})
    assert answer.status_code == 404


async def test_a_receipt_from_another_area_is_not_found(monday):
    gateway = Phones()
    await send(monday, gateway)
    other = monday.live.as_(Role.BACKEND, division=OTHER_TOWN)
    order = {"message_id": gateway.got[0].id, "type": "delivered"}
    assert (await other.post("/notify/v1/receipts", order)).status_code == 404


@pytest.mark.rule("NTF-001")
@pytest.mark.parametrize("seed", [1, 2])
async def test_several_senders_killed_at_any_point_send_each_person_one_prompt(
    database_url: str, tmp_path: Path, seed: int
):
    people = {f"P{number:03}": f"199{number:08}" for number in range(40)}
    settings = settings_for(Settings, tmp_path, database_url)
    wednesday = county_instant(date(2016, 11, 2), 9)
    async with running(settings, metadata, ROUTERS, handlers=HANDLERS, jobs=jobs.JOBS, start=wednesday) as live:
        county = County(live)
        for number in people:
            await county.appoint(number)
        assert (await county.enter_phones(people)).status_code == 201
        await county.enter_brief()
        live.clock.move_to(MONDAY_AT_NINE)
        gateway = Troubled(seed)

        async def replica() -> int:
            deaths = 0
            while True:
                try:
                    async with live.service.work() as work:
                        await campaigns.tick(work)
                    await Sender(live.service, gateway, pace=FAST).run()
                except Killed:
                    deaths += 1
                    continue
                return deaths

        deaths = await asyncio.gather(*(replica() for _ in range(4)))
        assert sum(deaths) > 0
        states = Counter(state for state, _ in (await county.prompts(limit=500)).values())
        given_up = states.pop("failed", 0)  # five attempts of bad luck: reported as failed, and then truly not sent
        assert states == {"delivered": len(people) - given_up}
        assert gateway.per_phone == Counter(gateway.per_phone.keys())
        assert len(gateway.per_phone) == len(people) - given_up
        assert len(await county.recorded("notify.prompt_sent.v1")) == len(people) - given_up
