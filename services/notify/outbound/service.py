"""Use cases of prompts: claim, settle, look for evidence, receive receipts, decide."""

from collections.abc import Collection
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from services.notify.alarms.domain import AlarmKind
from services.notify.alarms.service import raise_alarm
from services.notify.contacts import service as contacts
from services.notify.contacts import store as contact_store
from services.notify.contacts.domain import NOWHERE
from services.notify.outbound import domain, store
from services.notify.outbound.domain import Decision, Reason, Receipt, Standing, State
from services.notify.outbound.gateway import Accepted, Message, Outcome, Rejected
from services.notify.outbound.schemas import PromptOut
from services.notify.outbound.store import Prompt
from services.notify.outbound.text import parts
from services.notify.weeks.domain import Campaign, fact_version
from shared.clock import county_instant
from shared.errors import NotFound
from shared.events.notify import PromptSent
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.scope import EVERYWHERE
from shared.work import Work

_STEP = {Campaign.WEEKLY: 1, Campaign.REMINDER: 2}


async def claim(work: Work, *, lease: timedelta, limit: int) -> list[tuple[Prompt, Message]]:
    """Takes planned prompts for this sender: `sending` and the attempt are committed before the gateway hears of them.

    Who has opted out since, or has no phone any more, is not claimed.
    """
    now = await store.lease_now(work.tx)
    prompts = await store.claimable(work.tx, now=work.now, lease_now=now, limit=limit)
    people = {prompt.cadre_no for prompt in prompts}
    known = await contact_store.contacts_of(work.tx, people, EVERYWHERE)
    phones = await contact_store.phones_of(work.tx, people, EVERYWHERE)
    claimed: list[tuple[Prompt, Message]] = []
    for prompt in prompts:
        contact = known.get(prompt.cadre_no, NOWHERE)
        phone = contacts.open_phone(work, phones[prompt.cadre_no]) if contact.has_phone else None
        standing = domain.readiness(
            in_post=True, opted_out=contact.opted_out, has_phone=phone is not None, has_text=bool(prompt.text)
        )
        if standing.state is not State.PLANNED or phone is None:
            await store.move(work.tx, prompt, standing)
            continue
        await store.move(work.tx, prompt, Standing(State.SENDING), attempt=prompt.attempt + 1, lease_until=now + lease)
        mine = await store.find(work.tx, prompt.id, EVERYWHERE)
        assert mine is not None
        claimed.append((mine, Message(id=mine.message_id, phone=phone, text=mine.text)))
    return claimed


async def release(work: Work, prompt: Prompt) -> None:
    """Gives back a claimed prompt for which the gateway was never called, and the attempt with it."""
    await _move(work, prompt, Standing(State.PLANNED), attempt=prompt.attempt - 1, lease_until=None)


async def settle(work: Work, prompt: Prompt, outcome: Outcome, *, retry_in: timedelta) -> None:
    """Writes down what the gateway answered; a passing refusal is tried again after `retry_in`.

    An ambiguous answer changes nothing: evidence is looked for when the lease has run out.
    """
    match outcome:
        case Accepted():
            await _move(work, prompt, Standing(State.ACCEPTED))
        case Rejected(permanent=True, reason=reason):
            await _move(work, prompt, Standing(State.FAILED, reason))
        case Rejected():
            retry_at = await store.lease_now(work.tx) + retry_in
            await _move(work, prompt, domain.after_not_sent(attempt=prompt.attempt), lease_until=retry_at)
        case _:
            pass


async def settle_by_evidence(
    work: Work, prompt: Prompt, evidence: Collection[Receipt], *, silence_is_proof: bool
) -> None:
    """A sender did not come back: what the gateway knows decides whether the prompt went out."""
    if evidence:
        await apply_receipts(work, prompt, evidence)
    else:
        standing = domain.after_silence(silence_is_proof=silence_is_proof, attempt=prompt.attempt)
        await _move(work, prompt, standing, lease_until=None)


async def apply_receipts(
    work: Work, prompt: Prompt, evidence: Collection[Receipt], *, of_attempt: int | None = None
) -> None:
    """Receipts move a prompt forward only, in whatever order and however often they come. `of_attempt`: the last one."""
    of_attempt = prompt.attempt if of_attempt is None else of_attempt
    await store.keep_receipts(work.tx, prompt, of_attempt, evidence, at=work.now)
    for receipt in sorted(evidence, key=list(Receipt).index):
        standing = domain.after_receipt(prompt.state, receipt, attempt=prompt.attempt, of_attempt=of_attempt)
        if standing is not None and await _move(work, prompt, standing):
            moved = await store.find(work.tx, prompt.id, EVERYWHERE)
            assert moved is not None
            prompt = moved


async def receive_receipt(work: Work, message_id: str, receipt: Receipt) -> None:
    """A receipt the gateway brought. Raises NotFound when we know no such message in the caller's area."""
    named = store.parts_of(message_id)
    prompt = await store.find(work.tx, named[0], work.area, lock=True) if named else None
    if named is None or prompt is None or not 0 < named[1] <= prompt.attempt:
        raise NotFound("We sent no message of this id.")
    await apply_receipts(work, prompt, [receipt], of_attempt=named[1])


async def expire(work: Work) -> None:
    """What was not sent in its time is missed (逾期未发): on record, with an alarm, never silently dropped."""
    late = await store.closed_but_open(work.tx, now=work.now)
    for (week, campaign), group in groupby(late, key=lambda prompt: (prompt.week, prompt.campaign)):
        missed = list(group)
        for prompt in missed:
            await _move(work, prompt, Standing(State.MISSED, prompt.standing.reason or Reason.TOO_LATE))
        for county in sorted({prompt.county for prompt in missed}):
            await raise_alarm(
                work,
                AlarmKind.PROMPTS_MISSED,
                f"{campaign}/{week}/{county}/{work.today}",
                division=county,
                week=week,
                campaign=campaign,
                count=sum(prompt.county == county for prompt in missed),
            )


async def decide(work: Work, prompt_id: UUID, decision: Decision) -> PromptOut:
    """A person decides on a prompt that is unknown or failed (人工处理). A resend goes out today, or is missed.

    Raises NotFound, NothingToDecide.
    """
    prompt = await _load(work, prompt_id, lock=True)
    tonight = county_instant(work.today + timedelta(days=1))
    standing = domain.decide(prompt.state, decision)
    await store.move(work.tx, prompt, standing, closes_at=max(tonight, prompt.closes_at), lease_until=None)
    return _out(await _load(work, prompt_id))


async def show(work: Work, prompt_id: UUID) -> PromptOut:
    return _out(await _load(work, prompt_id))


async def list_prompts(
    work: Work, page: PageQuery, *, week: str | None, campaign: Campaign | None, state: State | None
) -> Page[PromptOut]:
    after = tuple(decode_cursor(page.after, str, str, str)) if page.after else None
    rows = await store.page(
        work.tx, work.area, week=week, campaign=campaign, state=state, after=after, limit=page.limit + 1
    )
    items, following = page_of(
        [_out(row) for row in rows], page.limit, lambda p: encode_cursor(p.week, p.campaign, p.cadre_no)
    )
    return Page(items=items, next=following)


async def _load(work: Work, prompt_id: UUID, *, lock: bool = False) -> Prompt:
    prompt = await store.find(work.tx, prompt_id, work.area, lock=lock)
    if prompt is None:
        raise NotFound("There is no such prompt in your area.")
    return prompt


async def _move(work: Work, prompt: Prompt, to: Standing, **also: Any) -> bool:
    out = to.state in (State.ACCEPTED, State.DELIVERED)
    if out and prompt.sent_at is None:
        also["sent_at"] = work.now
    if to.state is State.DELIVERED:
        also["delivered_at"] = work.now
    if not await store.move(work.tx, prompt, to, **also):
        return False
    if "sent_at" in also:
        sent = PromptSent(
            prompt_id=prompt.id,
            cadre_no=prompt.cadre_no,
            division=prompt.division,
            campaign=prompt.campaign,
            week=prompt.week,
            sent_at=work.now,
        )
        work.record(sent, division=prompt.division, version=fact_version(prompt.week, _STEP[prompt.campaign]))
    if to.state in (State.FAILED, State.UNKNOWN):
        kind = AlarmKind.PROMPT_FAILED if to.state is State.FAILED else AlarmKind.PROMPT_UNKNOWN
        # With the attempt in it: a resend that fails again must be looked at again.
        subject = f"{prompt.campaign}/{prompt.week}/{prompt.cadre_no}/{prompt.attempt}"
        await raise_alarm(
            work, kind, subject, division=prompt.division, week=prompt.week, cadre_no=prompt.cadre_no, reason=to.reason
        )
    return True


def _out(prompt: Prompt) -> PromptOut:
    plain = {name: getattr(prompt, name) for name in PromptOut.model_fields if name not in ("state", "reason", "parts")}
    return PromptOut(**plain, state=prompt.state, reason=prompt.standing.reason, parts=len(parts(prompt.text)))
