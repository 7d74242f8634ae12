"""What must be true after the month, read from the databases. Each check answers what is wrong, by name; nothing is right."""

import asyncio
import signal
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Any

from sqlalchemy import text

from services.catalogue import NAMES
from shared.db import Database
from shared.retention import ANSWERS
from tests.chaos.months import KEYS, Act, Month
from tests.integration.cluster import Process

SHOWN = 10
MONEY = ("receipt", "allocate", "tranche:hold", "tranche:pay")
"""Acts that stand in the ledger under their key."""

Findings = dict[str, list[str]]
"""Check → what it found."""

_NOT_AS_LISTED = """
select coalesce(listed.household, got.household), listed.fen, got.fen
from (select household_no as household, sum(amount_fen) as fen from tranche_line group by household_no) as listed
full join (
    select a.owner as household, sum(p.amount_fen) as fen
    from ledger_posting p join ledger_account a on a.id = p.account_id
    where a.kind = 'household' group by a.owner
) as got on got.household = listed.household
where listed.fen is distinct from got.fen
"""
_PAID_TWICE = """
select a.name, count(*)
from ledger_posting p join ledger_account a on a.id = p.account_id where a.kind = 'household' group by a.name having count(*) > 1
"""
_PROMPTED_TWICE = (
    "select phone_masked, count(*) from console_message group by phone_index, phone_masked, text having count(*) > 1"
)
_NOT_PROMPTED = "select id, state from prompt where state <> 'delivered'"
_WRONG_BALANCES = """
select a.name, a.balance_fen, coalesce(sum(p.amount_fen), 0)
from ledger_account a left join ledger_posting p on p.account_id = a.id
group by a.id, a.name, a.balance_fen having a.balance_fen <> coalesce(sum(p.amount_fen), 0)
union all
select 'entry ' || p.seq, sum(p.amount_fen), 0 from ledger_posting p group by p.book, p.seq having sum(p.amount_fen) <> 0
"""
_DEAD = "select topic, error from dead_letter"
_UNPUBLISHED = "select id, type from outbox where published_at is null"
_REFS = "select ref from ledger_entry"
_ANSWERS = "select key, body from idempotency"


def of_databases(urls: Mapping[str, str], acknowledged: Sequence[Act]) -> Findings:
    """Service → URL of its database; what the driver was told is done."""
    return asyncio.run(_of_databases(urls, acknowledged))


def not_kept(urls: Mapping[str, str], acknowledged: Sequence[Act]) -> list[str]:
    """Acknowledged acts whose answer is not kept word for word, though its period is not over. The ledger answers for money.

    To be looked at before anything is repeated: an act that does the same twice gets a new row then.
    """
    return asyncio.run(_not_kept(urls, acknowledged))


async def _not_kept(urls: Mapping[str, str], acknowledged: Sequence[Act]) -> list[str]:
    ask, forgotten = _Asking(urls), max(act.at for act in acknowledged) - ANSWERS
    kept = {str(key): bytes(body) for name in NAMES for key, body in await ask.rows(name, _ANSWERS)}
    expected = {
        act.name: act.answer.content for act in acknowledged if act.at >= forgotten and not act.name.startswith(MONEY)
    }
    return _shown(
        f"{act}: {kept.get(f'{KEYS}:{act}', b'nothing')[:200]!r}"
        for act, body in expected.items()
        if kept.get(f"{KEYS}:{act}") != body
    )


async def _of_databases(urls: Mapping[str, str], acknowledged: Sequence[Act]) -> Findings:
    ask = _Asking(urls)
    refs = Counter(str(ref) for (ref,) in await ask.rows("funds", _REFS))
    return {
        "acknowledged money stands in the ledger once": money_not_once(refs, acknowledged),
        "nothing is paid twice": _lines(await ask.rows("funds", _PAID_TWICE)),
        "each household received what its lists say": _lines(await ask.rows("funds", _NOT_AS_LISTED)),
        "balances are the sums of their postings": _lines(await ask.rows("funds", _WRONG_BALANCES)),
        "nobody is prompted twice": _lines(await ask.rows("notify", _PROMPTED_TWICE)),
        "every prompt arrived": _lines(await ask.rows("notify", _NOT_PROMPTED)),
        "no dead letters": await ask.everywhere(_DEAD),
        "outboxes are empty": await ask.everywhere(_UNPUBLISHED),
    }


def money_not_once(refs: Counter[str], acknowledged: Sequence[Act]) -> list[str]:
    """Acknowledged money acts whose ref is not there exactly once."""
    acts = [act.name for act in acknowledged if act.name.startswith(MONEY)]
    ends = {act: sum(times for ref, times in refs.items() if ref.endswith(f":{KEYS}:{act}")) for act in acts}
    return [f"{act}: {times} times" for act, times in ends.items() if times != 1]


def ended_by_themselves(processes: Iterable[Process]) -> list[str]:
    """Those that ended otherwise than by our hand, with their exit code and what they said last."""
    return [
        f"{process.name}: {code}: {' ⏎ '.join(words.splitlines())}"
        for process in processes
        for code, words in zip(process.exits, process.last_words, strict=True)
        if code != -signal.SIGKILL
    ]


def of_months(undisturbed: Month, disturbed: Month) -> Findings:
    """What differs between two months in which the same was done."""
    lost, made = undisturbed.rows - disturbed.rows, disturbed.rows - undisturbed.rows
    return {
        "the same acts were done": _shown(
            f"{one} ≠ {other}" for one, other in zip_longest(undisturbed.acts, disturbed.acts) if one != other
        ),
        "the same came of them": [
            f"{key}: {undisturbed.came_of_it.get(key)} ≠ {disturbed.came_of_it.get(key)}"
            for key in undisturbed.came_of_it | disturbed.came_of_it
            if undisturbed.came_of_it.get(key) != disturbed.came_of_it.get(key)
        ],
        "the canonical dump is the same": _shown(
            [f"lost {times} × {row[:300]}" for row, times in sorted(lost.items())]
            + [f"made {times} × {row[:300]}" for row, times in sorted(made.items())]
        ),
    }


class _Asking:
    """Statements to the services' databases, each of which is opened for it."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls

    async def rows(self, service: str, statement: str) -> Sequence[Any]:
        database = Database(self._urls[service], service=service, application="daohu-chaos")
        try:
            async with database.read() as tx:
                return (await tx.execute(text(statement))).all()
        finally:
            await database.close()

    async def everywhere(self, statement: str) -> list[str]:
        return [f"{service}: {line}" for service in NAMES for line in _lines(await self.rows(service, statement))]


def _lines(rows: Sequence[Any]) -> list[str]:
    return _shown(" ".join(map(str, row)) for row in rows)


def _shown(lines: Iterable[str]) -> list[str]:
    return list(islice(lines, SHOWN))
