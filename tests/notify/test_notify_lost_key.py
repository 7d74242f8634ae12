"""A key of notify is lost: who can be reached is reached, who cannot is named, and texts are null in lists."""

from shared.testing import COUNTY

PHONES = {"G001": "19900000001", "G002": "19900000002"}


async def test_one_phone_under_a_lost_key_holds_up_nobody_elses_prompt(county):
    for cadre_no, phone in PHONES.items():
        await county.person(cadre_no, phone)
    await county.enter_brief()
    county.live.lose_data_key()
    assert (await county.enter_phones({"G002": PHONES["G002"]})).json()["changed"] == 1
    await county.clock_shows(7, 9)
    prompts = {cadre: standing for (_, cadre), standing in (await county.prompts()).items()}
    assert prompts["G001"] == ("held", "no_phone")
    assert len(await county.phone_shows("G002")) == 1


async def test_a_report_under_a_lost_key_stands_in_the_list_without_its_text(county):
    await county.person("G001", PHONES["G001"])
    await county.enter_brief()
    await county.clock_shows(7, 9)
    taken = await county.office.post("/notify/v1/reports", {"cadre_no": "G001", "text": "已入户。"})
    assert taken.status_code == 201, taken.text
    before = (await county.office.get("/notify/v1/reports", week=taken.json()["week"])).json()["items"]
    county.live.lose_data_key()
    after = (await county.office.get("/notify/v1/reports", week=taken.json()["week"])).json()["items"]
    assert [report["text"] for report in before] == ["已入户。"]
    assert after == [{**before[0], "text": None}]
    assert before[0]["division"].startswith(COUNTY[:6])
