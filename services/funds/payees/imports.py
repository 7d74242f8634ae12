"""The sheet of payees (收款账户) and its import kind."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping

from services.funds.households import store as households
from services.funds.households.store import Household
from services.funds.payees import store
from shared.ids import new_id
from shared.imports.kinds import SLICE, ImportKind, Prepared, Tally, only
from shared.pii import forms, mask_name
from shared.roles import Role
from shared.sheets import Checked, Column, RowError, SheetSpec, ValidRow, cells, personal
from shared.work import Work

MAX_NAME = 40
MAX_BANK = 60

CARD = "card"
"""Kind of the blind index: equal for one card wherever it stands."""

PAYEES = SheetSpec(
    name="payees",
    title="收款账户",
    columns=(
        Column(
            "household_no",
            ("户编号", "household_no", "household number"),
            cells.business_no(),
            help="与建档立卡户编号一致",
        ),
        Column(
            "account_name", ("户名", "开户人", "account_name"), cells.text(MAX_NAME), fold=False, help="银行账户的户名"
        ),
        Column("card_number", ("银行卡号", "账号", "card_number"), personal.card, help="一卡通卡号，按文本填写"),
        Column("bank", ("开户银行", "开户行", "bank"), cells.text(MAX_BANK), help="开户银行名称"),
    ),
    unique=(("household_no",), ("card_number",)),
)


async def prepare(work: Work, sheets: Sequence[Checked | None]) -> Prepared:
    """Judges the rows against the households of the area and the cards of everybody. Changes nothing yet.

    A card of another household is an error of its row: one bank card is never paid for two (ledger-and-audit.md 10).
    """
    checked = only(sheets)
    known = await households.by_numbers(work.tx, _numbers(checked), work.area)
    blinds = {row.number: work.vault.blind(row.values["card_number"], kind=CARD) for row in checked.valid}
    checked = await _against_database(work, checked, known, blinds)

    async def write() -> Tally:
        before = await store.to_compare(work.tx, _numbers(checked), work.area)
        different = [row for row in checked.valid if not _same(work, row, before, blinds[row.number])]
        new = []
        for row in different:
            new.append(_sealed(work, row, blinds[row.number]))
            if len(new) % SLICE == 0:
                await asyncio.sleep(0)
        await store.replace(work.tx, new, at=work.now)
        changed = sum(row.values["household_no"] in before for row in different)
        return Tally(len(different) - changed, changed, len(checked.valid) - len(different))

    return Prepared((checked,), write)


KIND = ImportKind("payees", (PAYEES,), prepare, (Role.FINANCE, Role.POVERTY_OFFICE))


def _numbers(checked: Checked) -> list[str]:
    return [row.values["household_no"] for row in checked.valid]


async def _against_database(
    work: Work, checked: Checked, known: dict[str, Household], blinds: dict[int, str]
) -> Checked:
    """Good rows that the database refuses become errors."""
    holders = await store.holders(work.tx, list(blinds.values()))
    while True:
        freed = {row.values["household_no"] for row in checked.valid}
        errors = [
            error
            for row in checked.valid
            if (error := _refused(checked, row, known, holders.get(blinds[row.number]), freed))
        ]
        if not errors:
            return checked
        checked = checked.without(errors)  # a row that fails may have been about to free its card for another


def _refused(
    checked: Checked, row: ValidRow, known: dict[str, Household], holder: str | None, freed: set[str]
) -> RowError | None:
    household_no = row.values["household_no"]
    if household_no not in known:
        return checked.error(
            row,
            "household_no",
            "unknown_household",
            "本辖区没有此户编号。",
            "Your area has no household of this number.",
        )
    if holder is not None and holder != household_no and holder not in freed:
        return checked.error(
            row,
            "card_number",
            "card_taken",
            "此卡号已登记为其他户的收款账户。",
            "This card is another household's account already.",
        )
    return None


def _same(work: Work, row: ValidRow, before: Mapping[str, RowMapping], blind: str) -> bool:
    old = before.get(row.values["household_no"])
    if old is None or old["card_blind"] not in forms([blind]) or old["bank"] != row.values["bank"]:
        return False
    name = work.vault.open_if_here(old["account_name_sealed"], column="payee.account_name", row=old["id"])
    return name == row.values["account_name"] and work.vault.knows(old["card_sealed"])  # else it is entered anew


def _sealed(work: Work, row: ValidRow, blind: str) -> dict[str, Any]:
    id_, name, card = new_id(), row.values["account_name"], row.values["card_number"]
    return store.new_row(
        id_=id_,
        household_no=row.values["household_no"],
        name=(work.vault.seal(name, column="payee.account_name", row=id_), mask_name(name)),
        card=(work.vault.seal(card, column="payee.card", row=id_), card[-4:], blind),
        bank=row.values["bank"],
        since=work.today,
        recorded_by=work.caller.subject,
        recorded_at=work.now,
    )
