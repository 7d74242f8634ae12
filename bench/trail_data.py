"""A million payments in ten counties: funds, projects, tranches of 400 households each, and the sealed ledger under them."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from bench import long_ledger
from services.funds.households.store import household
from services.funds.ledger.domain import AccountKey, Command, Posting
from services.funds.projects.store import project
from services.funds.proofs.notes import Signer
from services.funds.sources.store import source
from services.funds.tranches.store import held_once, line, paid_once, tranche
from shared.db import Database
from shared.ids import new_id
from shared.rows import insert_rows

COUNTIES, HOUSEHOLDS = 10, 23_450
FUNDS, PROJECTS, TRANCHES, PAID_AT_ONCE = 5, 50, 250, 400
PAYMENTS = COUNTIES * TRANCHES * PAID_AT_ONCE
SHARE_FEN = 120_000
AT, DAY = datetime(2016, 11, 1, 1, tzinfo=UTC), date(2016, 11, 1)
MADE = {"created_by": "bench", "created_at": AT}


@dataclass(slots=True)
class County:
    """One county's rows, and what its finance office posted."""

    code: str
    rows: dict[Any, list[dict[str, Any]]] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    sources: list[UUID] = field(default_factory=list)
    projects: list[tuple[UUID, UUID]] = field(default_factory=list)
    """(fund, project)"""
    tranches: list[tuple[UUID, UUID]] = field(default_factory=list)
    """(fund, tranche)"""
    numbers: list[str] = field(default_factory=list)
    """of its households"""

    @property
    def division(self) -> str:
        return self.code.ljust(12, "0")

    def add(self, table: Any, row: dict[str, Any]) -> UUID:
        self.rows.setdefault(table, []).append(row)
        id: UUID = row.get("id") or row["household_id"]
        return id

    def post(self, kind: str, ref: str, once: str | None, *lines: tuple[str, str, str, int, str]) -> None:
        postings = tuple(
            Posting(AccountKey(at, owner, fund), fen, division) for at, owner, fund, fen, division in lines
        )
        self.commands.append(
            Command(
                book=self.code, kind=kind, ref=f"bench:{ref}", once=once, actor="finance-1", effective_on=DAY, recorded_at=AT,
                division=self.division, postings=postings, request_hash=b"r" * 32,
            )
        )  # fmt: skip


async def enter(database: Database, signer: Signer) -> list[County]:
    """Enters every county into an empty, migrated database of the funds service."""
    counties = []
    for n in range(COUNTIES):
        county = _county(str(610926 + n))
        async with database.write() as tx:
            for table, rows in county.rows.items():
                await insert_rows(tx, table, rows)
        await long_ledger.enter([database], county.code, county.commands, signer)
        county.rows, county.commands = {}, []
        counties.append(county)
    return counties


def _county(code: str) -> County:
    county, rng = County(code), random.Random(code)
    villages = [f"{code}1{n % 10:02}2{n // 10:02}" for n in range(137)]
    homes = [(f"{villages[n % 137]}{n // 137:04}", villages[n % 137]) for n in range(HOUSEHOLDS)]
    county.numbers = [number for number, _ in homes]
    for number, village in homes:
        county.add(household, {
            "household_id": new_id(), "household_no": number, "division": village, "head_name_masked": "王**",
            "people": 3, "status": "registered", "version": 1,
        })  # fmt: skip
    funds = [_fund(county, f"F{code}{n}") for n in range(FUNDS)]
    order = itertools.cycle(rng.sample(homes, len(homes)))
    for n in range(PROJECTS):
        _project(county, *funds[n % FUNDS], f"P{code}{n:02}", order)
    return county


def _fund(county: County, fund_no: str) -> tuple[UUID, str]:
    fen = TRANCHES // FUNDS * PAID_AT_ONCE * SHARE_FEN + 1_000_000
    there = county.division
    id = county.add(source, {
        "id": new_id(), "fund_no": fund_no, "name": "扶贫专项资金", "level": "central", "year": 2016, "division": there,
        "document_no": f"财农〔2016〕{fund_no}号", **MADE,
    })  # fmt: skip
    county.post("received", fund_no, f"receipt:{fund_no}:1", ("source", fund_no, fund_no, -fen, there), ("fund", fund_no, fund_no, fen, there))  # fmt: skip
    county.sources.append(id)
    return id, fund_no


def _project(county: County, source_id: UUID, fund_no: str, number: str, homes: Iterator[tuple[str, str]]) -> None:
    there, fen = county.division, TRANCHES // PROJECTS * PAID_AT_ONCE * SHARE_FEN
    id = county.add(project, {
        "id": new_id(), "project_no": number, "name": "产业奖补", "division": there, "kind": "industry", "description": "",
        "unit": "县扶贫办", "year": 2016, "performance_target": "", "due_on": DAY, **MADE,
    })  # fmt: skip
    county.projects.append((source_id, id))
    county.post("allocated", number, f"allocated:{number}", ("fund", fund_no, fund_no, -fen, there), ("project", number, fund_no, fen, there))  # fmt: skip
    for n in range(TRANCHES // PROJECTS):
        _tranche(county, source_id, fund_no, id, number, f"{number}-{n}", list(itertools.islice(homes, PAID_AT_ONCE)))


def _tranche(
    county: County,
    source_id: UUID,
    fund_no: str,
    project_id: UUID,
    project_no: str,
    number: str,
    paid: list[tuple[str, str]],
) -> None:
    there, fen = county.division, len(paid) * SHARE_FEN
    id = county.add(tranche, {
        "id": new_id(), "tranche_no": number, "project_id": project_id, "project_no": project_no, "division": there,
        "basis": "household", "amount_fen": fen, "households": len(paid), "people": 3 * len(paid), "funds": {fund_no: fen},
        "digest": "0" * 64, "applied_on": DAY, **MADE,
    })  # fmt: skip
    county.tranches.append((source_id, id))
    for at, (home, village) in enumerate(paid):
        county.rows.setdefault(line, []).append({
            "tranche_id": id, "line": at, "household_no": home, "division": village, "head_name_masked": "王**", "people": 3,
            "weight": 1, "amount_fen": SHARE_FEN, "shares": {fund_no: SHARE_FEN},
        })  # fmt: skip
    county.post("hold", f"hold-{number}", held_once(number), ("project", project_no, fund_no, -fen, there), ("hold", number, fund_no, fen, there))  # fmt: skip
    credits = [("household", home, fund_no, SHARE_FEN, village) for home, village in paid]
    county.post("paid", f"paid-{number}", paid_once(number), ("hold", number, fund_no, -fen, there), *credits)
