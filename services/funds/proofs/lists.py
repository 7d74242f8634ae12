"""The lists (名单) behind money that moved: a tranche's rows, and the accounts it was paid to, against what each entry binds of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from services.funds.ledger.domain import EntryMalformed, Posting
from services.funds.proofs.books import Source
from services.funds.tranches.domain import Line, digest_of, hold_postings, payment_postings, void_postings

LIST = "list_digest"
"""In the details of every entry of a tranche: the digest of its list."""

HOLD, VOID, PAID = "hold", "hold_voided", "paid"
LISTED = frozenset({HOLD, VOID, PAID})
_SAID = ("project_no", "basis", "amount_fen", "households", "people", LIST)


class Lists:
    """Those of one database."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._accounts: frozenset[tuple[str, str]] | None = None

    async def problem(self, said: Mapping[str, Any], posted: Sequence[Posting]) -> str:
        """Where rows differ from an entry of LISTED that binds a list, or it from them; "" when they do not."""
        try:
            return await self._problem(said, said["details"], posted)
        except (ValueError, KeyError, TypeError, AttributeError, EntryMalformed):
            return "the list that it binds cannot be read"

    async def _problem(self, said: Mapping[str, Any], details: Mapping[str, Any], posted: Sequence[Posting]) -> str:
        number = details["tranche_no"]
        found = await self._source.rows("tranche", number)
        if len(found) != 1:
            return f"tranche {number}, which it binds, is {'there twice' if found else 'missing'}"
        division, funds, *columns = found[0]
        rows = await self._source.rows("lines", number)
        lines = [
            Line(no, at, head, people, weight, fen, _read(shares))
            for _, no, at, head, people, weight, fen, shares in rows
        ]
        if [row[0] for row in rows] != [*range(1, len(rows) + 1)] or digest_of(number, lines) != details[LIST]:
            return f"the list of tranche {number}, which it binds, was changed"
        by_fund: Counter[str] = Counter()
        for line in lines:
            by_fund.update(line.shares)
        if (
            columns != [details[name] for name in _SAID]
            or division != said["division"]
            or _read(funds) != dict(by_fund)
        ):
            return f"tranche {number}, which it binds, was changed"
        if said["kind"] == PAID:
            moved = payment_postings(number, division, by_fund, lines)
        else:
            moved = (hold_postings if said["kind"] == HOLD else void_postings)(columns[0], number, division, by_fund)
        if sorted(moved) != sorted(posted):
            return f"it does not move what the list of tranche {number} says"
        return await self._payees(lines, details["payees"]) if said["kind"] == PAID else ""

    async def _payees(self, lines: Sequence[Line], bound: Sequence[Sequence[Any]]) -> str:
        """Of each account paid to a row stands, with these last digits: what was put there for a payment alone is gone."""
        if self._accounts is None:
            self._accounts = frozenset((row[0], row[1]) for row in await self._source.rows("payees"))
        if [one[0] for one in bound] != [line.household_no for line in lines]:
            return "the accounts it binds are not those of its list"
        if gone := [one[0] for one in bound if (one[0], one[4]) not in self._accounts]:
            return f"household {gone[0]} has and had no account with the last digits that it was paid to"
        return ""


def _read(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, str) else value
