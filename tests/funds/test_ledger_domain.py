"""What may be posted: conservation per fund, limits on the account, canonical bytes, the chain."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from services.funds.ledger import domain
from services.funds.ledger.domain import (
    MAX_POSTINGS,
    AccountKey,
    AlreadyDone,
    BalanceTooLarge,
    Command,
    EntryMalformed,
    IdempotencyKeyReused,
    InsufficientFunds,
    Known,
    Posted,
    Posting,
    canonical,
    decide,
    genesis,
)
from shared.errors import Refusal

COUNTY, VILLAGE = "610926000000", "610926100201"
AT = datetime(2016, 11, 1, 1, tzinfo=UTC)
SOURCE, FUND = AccountKey("source", "F1", "F1"), AccountKey("fund", "F1", "F1")


def command(*moves: tuple[AccountKey, int], ref: str = "r", **given) -> Command:
    said = {
        "book": "610926", "kind": "received", "ref": ref, "actor": "finance-1", "effective_on": date(2016, 11, 1),
        "recorded_at": AT, "division": COUNTY, "postings": tuple(Posting(key, fen, COUNTY) for key, fen in moves),
    }  # fmt: skip
    return Command(**{**said, **given})


def receipt(fen: int = 100, ref: str = "r", **given) -> Command:
    return command((SOURCE, -fen), (FUND, fen), ref=ref, **given)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii")), inner),
    max_leaves=20,
)


@given(json_values)
def test_the_canonical_form_is_that_of_rfc_8785(value):
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [1.5, 2**53, {"金额": 1}, {1: 2}, "\ud800", AT, b"x", {"a": [object()]}])
def test_what_has_no_canonical_form_here_is_refused(value):
    with pytest.raises(EntryMalformed):
        canonical(value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"postings": ()},
        {"postings": (Posting(SOURCE, -1, COUNTY),)},
        {"postings": (Posting(SOURCE, -1, COUNTY), Posting(FUND, 2, COUNTY))},
        {"postings": (Posting(SOURCE, 0, COUNTY), Posting(FUND, 0, COUNTY))},
        {"postings": (Posting(SOURCE, -1, "610926"), Posting(FUND, 1, COUNTY))},
        {"postings": (Posting(FUND, -1, COUNTY), Posting(FUND, 1, COUNTY))},
        {"postings": (Posting(AccountKey("bank", "F1", "F1"), -1, COUNTY), Posting(FUND, 1, COUNTY))},
        {"postings": (Posting(AccountKey("source", "a/b", "F1"), -1, COUNTY), Posting(FUND, 1, COUNTY))},
        {"postings": (Posting(SOURCE, -1.0, COUNTY), Posting(FUND, 1.0, COUNTY))},
        {"postings": (Posting(SOURCE, -(10**15) - 1, COUNTY), Posting(FUND, 10**15 + 1, COUNTY))},
        {"book": "61"},
        {"kind": "Paid!"},
        {"ref": ""},
        {"ref": "x" * 301},
        {"actor": ""},
        {"memo": "a\0b"},
        {"division": "610926"},
        {"kind": "refused"},
        {"recorded_at": datetime(2016, 11, 1)},  # noqa: DTZ001
        {"recorded_at": AT.astimezone(timezone(timedelta(hours=8)))},
        {"details": {"share": 0.5}},
    ],
)
def test_a_malformed_entry_is_not_composed(wrong):
    with pytest.raises(EntryMalformed):
        receipt(**wrong)


@pytest.mark.rule("FND-008")
def test_money_of_one_fund_cannot_become_money_of_another():
    other = AccountKey("project", "P1", "F2")
    with pytest.raises(EntryMalformed) as refused:
        command((FUND, -5), (other, 5))
    assert refused.value.facts == {"unbalanced": {"F1": -5, "F2": 5}}


def test_an_entry_holds_as_many_postings_as_the_limit_says():
    def wide(n: int) -> Command:
        return command((FUND, -(n - 1)), *((AccountKey("household", f"H{i}", "F1"), 1) for i in range(n - 1)))

    assert len(wide(MAX_POSTINGS).postings) == MAX_POSTINGS
    with pytest.raises(EntryMalformed):
        wide(MAX_POSTINGS + 1)


@pytest.mark.parametrize(
    "changed",
    [
        {"actor": "finance-2"}, {"effective_on": date(2016, 11, 2)}, {"recorded_at": AT + timedelta(microseconds=1)},
        {"division": VILLAGE}, {"memo": "x"}, {"idempotency_key": "k"}, {"once": "x"}, {"approvals": ({"id": "1"},)},
        {"notice": {"days": 10}}, {"details": {"unit": "x"}}, {"request_hash": b"x" * 32}, {"ref": "other"}, {"kind": "other"},
        {"book": "610924"},
    ],
)  # fmt: skip
def test_the_hash_binds_everything_an_entry_says(changed):
    assert receipt(**changed).digest != receipt().digest


def test_the_request_hash_leaves_the_time_out():
    assert receipt(recorded_at=AT + timedelta(days=1)).request_hash == receipt().request_hash


def outcome(head, balances, known, onces, *commands):
    return decide(head, balances, known, onces, commands).outcomes


def test_links_bind_number_and_order():
    first, second = receipt(ref="1"), receipt(ref="2")
    start = genesis("610926")
    forward, backward = decide(start, {}, {}, {}, [first, second]), decide(start, {}, {}, {}, [second, first])
    assert [entry.seq for entry in forward.entries] == [1, 2]
    assert forward.entries[1].prev == forward.entries[0].link
    assert forward.head.link != backward.head.link
    assert domain.link(start.link, 1, first.digest) != domain.link(start.link, 2, first.digest)


def test_each_command_meets_what_the_one_before_it_left():
    allocate = command((FUND, -80), (AccountKey("project", "P1", "F1"), 80), ref="a")
    again = command((FUND, -80), (AccountKey("project", "P2", "F1"), 80), ref="b")
    decided = decide(genesis("610926"), {}, {}, {}, [allocate, receipt(100), again, allocate])
    assert isinstance(decided.outcomes[0], InsufficientFunds)
    assert decided.outcomes[0].facts == {"account": "fund/F1/F1", "available_fen": 0, "needed_fen": 80}
    assert isinstance(decided.outcomes[1], Posted)
    assert isinstance(decided.outcomes[2], Posted)
    assert isinstance(decided.outcomes[3], InsufficientFunds)
    assert decided.deltas[FUND] == 20


def test_the_same_ref_gives_the_first_answer_also_inside_a_batch():
    first, again, other = receipt(), receipt(recorded_at=AT + timedelta(hours=1)), receipt(200)
    outcomes = outcome(genesis("610926"), {}, {}, {}, first, again, other)
    assert isinstance(outcomes[0], Posted)
    assert outcomes[1] == Posted(1, outcomes[0].link, AT, replayed=True)
    assert isinstance(outcomes[2], IdempotencyKeyReused)


def test_a_ref_of_an_earlier_batch_is_answered_from_what_is_known():
    known = {"r": Known(receipt().request_hash, Posted(7, b"l", AT))}
    assert outcome(genesis("610926"), {}, known, {}, receipt()) == [Posted(7, b"l", AT, replayed=True)]
    assert isinstance(outcome(genesis("610926"), {}, known, {}, receipt(5))[0], IdempotencyKeyReused)


def test_a_business_act_is_settled_once_whatever_the_ref():
    outcomes = outcome(
        genesis("610926"),
        {},
        {},
        {"paid:T2": 9},
        *(receipt(ref=r, once=o) for r, o in (("a", "paid:T1"), ("b", "paid:T1"), ("c", "paid:T2"))),
    )
    assert isinstance(outcomes[0], Posted)
    assert [(o.code, o.facts["seq"]) for o in outcomes[1:] if isinstance(o, AlreadyDone)] == [
        ("already_done", 1),
        ("already_done", 9),
    ]


def test_a_balance_stays_within_what_can_be_counted():
    full = {SOURCE: -domain.MAX_BALANCE_FEN + 5}
    assert isinstance(outcome(genesis("610926"), full, {}, {}, receipt(6))[0], BalanceTooLarge)
    assert isinstance(outcome(genesis("610926"), full, {}, {}, receipt(5))[0], Posted)


def test_a_refusal_on_record_moves_no_money_and_is_one_for_each_request_and_code():
    def refused(**given) -> Command:
        return command((FUND, -80), (AccountKey("project", "P1", "F1"), 80), ref="a", once="x", **given)

    later = refused(recorded_at=AT + timedelta(hours=1))
    first, second = (
        domain.refusal_of(c, InsufficientFunds("no", available_fen=n)) for n, c in ((1, refused()), (2, later))
    )
    assert first.postings == ()
    assert first.ref == second.ref
    assert first.request_hash == second.request_hash
    assert first.once is None
    assert b'"refused_ref":"a"' in first.body


keys = st.sampled_from(
    [SOURCE, FUND, *(AccountKey(kind, owner, "F1") for kind in ("project", "hold", "household") for owner in "12")]
)
moves = st.tuples(keys, keys, st.integers(1, 300)).filter(lambda m: m[0] != m[1])


@given(st.lists(moves, max_size=40))
def test_no_batch_overdraws_creates_or_loses_money(batch):
    commands = [command((a, -fen), (b, fen), ref=str(i)) for i, (a, b, fen) in enumerate(batch)]
    decided = decide(genesis("610926"), {}, {}, {}, commands)
    assert sum(decided.deltas.values()) == 0
    assert all(fen >= 0 for key, fen in decided.deltas.items() if key.kind != "source")
    assert len(decided.entries) + sum(isinstance(o, Refusal) for o in decided.outcomes) == len(commands)


@given(st.lists(moves, max_size=30), st.integers(0, 30))
def test_it_does_not_matter_where_batches_are_cut(batch, cut):
    commands = [command((a, -fen), (b, fen), ref=str(i)) for i, (a, b, fen) in enumerate(batch)]
    whole = decide(genesis("610926"), {}, {}, {}, commands)
    first = decide(genesis("610926"), {}, {}, {}, commands[:cut])
    rest = decide(first.head, first.deltas, {}, {}, commands[cut:])
    assert rest.head == whole.head
    assert [type(o) for o in first.outcomes + rest.outcomes] == [type(o) for o in whole.outcomes]
