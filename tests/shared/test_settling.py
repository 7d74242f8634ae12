"""When a movable clock may move: services that still have something to do are waited for."""

from shared.settling import Standing, settle


class House:
    """Services as plain numbers: `works` is what each round of jobs records, `busy` how often it is not settled yet."""

    def __init__(self, *works: int, busy: int = 0) -> None:
        self.works, self.busy = list(works), busy
        self.rounds = self.recorded = 0

    async def run_jobs(self) -> None:
        self.recorded += self.works[self.rounds] if self.rounds < len(self.works) else 0
        self.rounds += 1

    async def ask(self) -> list[Standing]:
        self.busy -= 1
        return [Standing(self.recorded, self.busy < 0), Standing(7, True)]


async def test_a_house_with_nothing_to_do_is_asked_twice() -> None:
    house = House()
    await settle(house.run_jobs, house.ask)
    assert house.rounds == 2


async def test_jobs_go_on_until_a_round_records_nothing_new() -> None:
    house = House(3, 2, 1)
    await settle(house.run_jobs, house.ask)
    assert (house.rounds, house.recorded) == (4, 6)


async def test_what_is_under_way_is_waited_for_before_the_next_round() -> None:
    house = House(1, busy=3)
    await settle(house.run_jobs, house.ask)
    assert (house.busy, house.rounds) == (-2, 2)


async def test_what_a_handler_records_after_a_round_asks_for_another_one() -> None:
    class Hearing(House):
        async def ask(self) -> list[Standing]:
            if self.rounds == 1:
                self.recorded += 1
            return await super().ask()

    house = Hearing(1)
    await settle(house.run_jobs, house.ask)
    assert house.rounds == 2

    class HearingLate(House):
        async def ask(self) -> list[Standing]:
            if self.rounds == 2:
                self.recorded += 1
            return await super().ask()

    late = HearingLate(1)
    await settle(late.run_jobs, late.ask)
    assert late.rounds == 3
