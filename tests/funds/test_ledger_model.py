"""Random commands against a few dictionaries that say exactly what must be answered: the same refusals, the same numbers."""

import asyncio
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count, permutations

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from ledger_desk import consistent, head_of, key, ledger, move
from sqlalchemy import select

from services.funds.ledger import assumed, domain, store
from services.funds.ledger.domain import MAX_BALANCE_FEN, AccountKey, Command, InsufficientFunds, Posted
from shared.money import MAX_FEN

PLACES = (
    key("source", "F1"),
    key("fund", "F1"),
    key("project", "1"),
    key("project", "2"),
    key("hold", "1"),
    key("household", "1"),
)

BOOKS = count(610001)

PHASES = (Phase.explicit, Phase.generate)
"""Shrinking an example that a server works on would take longer than reading it."""


@dataclass
class Model:
    """A book as dictionaries: balances, ref → (request, number), once → number, refs of refusals on record, the last number."""

    money: dict[AccountKey, int] = field(default_factory=dict)
    refs: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    seq: int = 0

    def takes(self, command: Command, answer) -> bool:
        """Whether the command must be answered so; the model moves on."""
        if (known := self.refs.get(command.ref)) is not None:
            if known[0] == command.request_hash:
                return isinstance(answer, Posted) and (answer.seq, answer.replayed) == (known[1], True)
            return _code(answer) == "idempotency_key_reused" and answer.facts["seq"] == known[1]
        if command.once in self.done:
            return _code(answer) == "already_done" and answer.facts["seq"] == self.done[command.once]
        for account, fen, _ in command.postings:
            after = self.money.get(account, 0) + fen
            if fen < 0 and after < 0 and account.kind != "source":
                self.refused.add(domain.refusal_of(command, InsufficientFunds("")).ref)
                return _code(answer) == "insufficient_funds" and answer.facts["available_fen"] == after - fen
            if abs(after) > MAX_BALANCE_FEN:
                return _code(answer) == "balance_too_large"
        if not isinstance(answer, Posted) or answer.replayed or answer.seq <= self.seq:
            return False
        for account, fen, _ in command.postings:
            self.money[account] = self.money.get(account, 0) + fen
        self.seq = answer.seq
        self.refs[command.ref] = command.request_hash, self.seq
        if command.once:
            self.done[command.once] = self.seq
        return True


def _code(answer) -> str:
    return getattr(answer, "code", "")


class AgainstAModel(RuleBasedStateMachine):
    """A book of its own for each example."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.county = f"{next(BOOKS)}000000"
        self.runner = asyncio.Runner()
        self.manager = ledger(url)
        self.database, self.writer = self.runner.run(self.manager.__aenter__())
        self.model = Model()

    def teardown(self) -> None:
        self.runner.run(self.manager.__aexit__(None, None, None))
        self.runner.close()

    wishes = st.tuples(
        st.integers(0, 40).map(lambda n: f"r{n}"),
        st.integers(1, 60) | st.just(MAX_FEN),
        st.permutations(PLACES).map(lambda p: p[:2]) | st.just(PLACES[:2]),
        st.none() | st.integers(1, 9).map(lambda n: f"o{n}"),
    )

    @rule(wishes=st.lists(wishes, min_size=1, max_size=4))
    def post_at_once(self, wishes) -> None:
        """Some order of the commands explains all their answers."""
        commands = [move(ref, fen, *pair, once=once, county=self.county) for ref, fen, pair, once in wishes]

        async def run():
            answers = await asyncio.gather(*(self.writer.post(c) for c in commands), return_exceptions=True)
            async with self.database.read() as tx:
                return answers, await head_of(tx, self.county[:6])

        answers, head = self.runner.run(run())
        for order in permutations(range(len(commands))):
            model = deepcopy(self.model)
            if all(model.takes(commands[n], answers[n]) for n in order):
                break
        else:
            raise AssertionError(f"no order explains {answers}")
        self.model = model
        self.model.seq = head.seq  # refusals put on record take numbers too

    @invariant()
    def the_book_is_that_of_the_model(self) -> None:
        async def check():
            async with self.database.read() as tx:
                found = await store.balances(tx, self.county[:6], PLACES)
                assert {k: fen for k, (_, fen) in found.items()} == self.model.money
                e = store.entry.c
                refusals = select(e.ref).where(e.kind == "refused", e.book == self.county[:6])
                assert set((await tx.execute(refusals)).scalars()) == self.model.refused

        self.runner.run(check())


def run_model(url: str) -> None:
    run_state_machine_as_test(
        lambda: AgainstAModel(url),
        settings=settings(max_examples=20, stateful_step_count=14, deadline=None, phases=PHASES),
    )

    async def check() -> None:
        async with ledger(url) as (database, _):
            await consistent(database)

    asyncio.run(check())


def test_the_writer_answers_as_the_model_does(database_url):
    run_model(database_url)


def test_a_writer_that_remembers_next_to_nothing_answers_the_same(postgres_url, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(assumed, "ACCOUNTS_KEPT", 2)
    monkeypatch.setattr(assumed, "ANSWERS_KEPT", 1)
    run_model(postgres_url)
