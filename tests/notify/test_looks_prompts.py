"""Where the prompts of this week and the last stand, as a scrape shows them."""

from services.notify.outbound.looks import standing


async def test_prompts_are_counted_by_state_and_old_weeks_left_out(county):
    async def found() -> dict[str, float]:
        return {reading.labels[0]: reading.value for reading in await standing(county.live.service) if reading.value}

    assert await found() == {}
    await county.person("A", "19900000001")
    await county.appoint("B")
    await county.enter_brief()
    await county.clock_shows(7, 9)
    assert await found() == {"delivered": 1, "held": 1}
    county.live.pass_days(14)
    assert await found() == {}
