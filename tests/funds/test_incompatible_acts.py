"""Incompatible acts on one tranche: whoever did one does not do the other, though his token holds every role."""

from pathlib import Path

import pytest
import yaml
from funds_county import County, created, refused

from shared.policy import PolicyBook
from shared.roles import Role

PINGLI = Path(__file__).parents[2] / "policies" / "pingli.yaml"
RELEASE = {"act": "release", "name": "放行", "name_en": "Release", "level": "county", "roles": ["releaser"]}
EVERY_ROLE = [role for role in Role if role not in (Role.AUDITOR, Role.DISCIPLINE)]
"""An auditor's token reads only, whatever else it holds; so does that of discipline inspection."""


class WithCashier(County):
    """Here another than who entered the accounts sets the money aside."""

    async def hold(self, tranche_id, **given):
        return await self.who(Role.FINANCE, subject="cashier").post(f"/funds/v1/tranches/{tranche_id}/holds", **given)


def everything(county, subject):
    """This person, with a token that holds every role that writes."""
    return county.live.as_(*EVERY_ROLE, subject=subject)


@pytest.mark.rule("FND-019")
async def test_who_made_or_checked_a_payment_does_not_pay_it(county):
    desk = WithCashier(county.live)
    id = await desk.ready_tranche()
    desk.live.pass_days(10)
    makers = ("applicant-1", "reviewer-1", "approver-1", "cashier", "finance-1")
    answers = [refused(await desk.pay(id, everything(desk, maker))) for maker in makers]
    assert answers == [(409, "same_person")] * len(makers)
    created(await desk.pay(id, everything(desk, "somebody-else")))


@pytest.mark.rule("FND-019")
async def test_one_person_with_every_role_gets_no_tranche_past_its_first_check(county):
    await county.hear_household(1)
    project = await county.project()
    created(await county.allocate(project, await county.source(), 1_000))
    alone = everything(county, "alone")
    order = {"tranche_no": "T-1", "amount_fen": 1_000, "basis": "people"}
    id = created(await alone.post(f"/funds/v1/projects/{project}/tranches", order))["id"]
    answer = await alone.post(f"/funds/v1/tranches/{id}/decisions", {"act": "review", "verdict": "pass"})
    assert refused(answer) == (409, "same_person")


def book(folder, chain=lambda steps: [*steps[:-1], RELEASE, steps[-1]]):
    """Pingli's pack with another chain: one with a release before the payment."""
    pack = yaml.safe_load(PINGLI.read_text(encoding="utf-8"))
    steps = pack["parameters"]["funds.approval_chain"]
    steps["value"] = chain(steps["value"])
    (folder / "packs").mkdir()
    (folder / "packs" / "pingli.yaml").write_text(yaml.safe_dump(pack, allow_unicode=True), encoding="utf-8")
    return PolicyBook.load(folder / "packs")


async def test_a_payment_waits_for_its_release_by_a_third_person(county, tmp_path):
    county.live.service.policies = book(tmp_path)
    id = await county.ready_tranche()
    county.live.pass_days(10)
    path, release = f"/funds/v1/tranches/{id}", {"act": "release", "verdict": "pass"}
    early = await county.pay(id)
    assert (refused(early), early.json()["next"]) == ((409, "not_approved"), "release")
    assert refused(await county.who(Role.APPROVER).post(f"{path}/decisions", release)) == (403, "not_your_step")
    for earlier in ("applicant-1", "reviewer-1", "approver-1"):
        answer = await everything(county, earlier).post(f"{path}/decisions", release)
        assert refused(answer) == (409, "same_person")
    created(await county.who(Role.RELEASER).post(f"{path}/decisions", release))
    assert refused(await county.pay(id, everything(county, "releaser-1"))) == (409, "same_person")
    created(await county.pay(id))


def test_a_release_stands_right_before_the_payment(tmp_path):
    with pytest.raises(ValueError, match="release, where there is one, is the last act before pay"):
        book(tmp_path, lambda steps: [steps[0], RELEASE, *steps[1:]])
