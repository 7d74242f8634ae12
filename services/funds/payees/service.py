"""Use cases of payees: import them, show them masked."""

from typing import Any

from services.funds.households import store as households
from services.funds.households.store import Household
from services.funds.payees import store
from services.funds.payees.domain import FileHasErrors
from services.funds.payees.schemas import ImportOut, Mode, PayeeOut, RowProblem
from services.funds.payees.sheet import PAYEES
from shared import sheets
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.pii import mask_name
from shared.scope import Area
from shared.sheets import Checked, RowError, ValidRow
from shared.work import Work

MAX_ERRORS = 100
"""Row errors in one answer."""

CARD = "card"
"""Kind of the blind index: equal for one card wherever it stands."""


async def import_payees(work: Work, data: bytes, *, mode: Mode, dry_run: bool) -> ImportOut:
    """Enters the accounts of a file. With mode `all` a file with wrong rows changes nothing.

    A card of another household is an error of its row: one bank card is never paid for two (ledger-and-audit.md 10).
    Raises WrongFile, FileTooLarge (the file as a whole), FileHasErrors (409, with the errors by row and column).
    """
    checked = sheets.check(sheets.read(data, PAYEES))
    rows = len(checked.valid) + checked.rejected
    known = await households.by_numbers(work.tx, [row.values["household_no"] for row in checked.valid], work.area)
    blinds = {row.number: work.vault.blind(row.values["card_number"], kind=CARD) for row in checked.valid}
    checked = await _against_database(work, checked, known, blinds)
    changed = await _changed(work, checked, blinds)
    outcome = ImportOut(
        rows=rows,
        accepted=len(checked.valid),
        unchanged=len(checked.valid) - len(changed),
        rejected=checked.rejected,
        applied=not dry_run and (mode == "valid" or not checked.errors),
        errors=[
            RowProblem(row=e.row, column=e.column, code=e.code, zh=e.zh, en=e.en) for e in checked.errors[:MAX_ERRORS]
        ],
    )
    if checked.errors and mode == "all" and not dry_run:
        raise FileHasErrors(
            "Correct the rows named here, or import the good ones with mode=valid.", import_result=outcome.model_dump()
        )
    if outcome.applied:
        new = [_sealed(work, row, known[row.values["household_no"]], blinds[row.number]) for row in changed]
        await store.replace(work.tx, new, at=work.now)
    return outcome


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


async def _changed(work: Work, checked: Checked, blinds: dict[int, str]) -> list[ValidRow]:
    """The rows that differ from what is known."""
    before = await store.to_compare(work.tx, [row.values["household_no"] for row in checked.valid], work.area)

    def same(row: ValidRow) -> bool:
        old = before.get(row.values["household_no"])
        if old is None or old.card_blind != blinds[row.number] or old.bank != row.values["bank"]:
            return False
        name = work.vault.open(old.account_name_sealed, column="payee.account_name", row=old.id)
        return bool(name == row.values["account_name"])

    return [row for row in checked.valid if not same(row)]


def _sealed(work: Work, row: ValidRow, household: Household, blind: str) -> dict[str, Any]:
    id_, name, card = new_id(), row.values["account_name"], row.values["card_number"]
    return store.new_row(
        id_=id_,
        household_no=household.household_no,
        division=household.division,
        name=(work.vault.seal(name, column="payee.account_name", row=id_), mask_name(name)),
        card=(work.vault.seal(card, column="payee.card", row=id_), card[-4:], blind),
        bank=row.values["bank"],
        since=work.today,
        recorded_by=work.caller.subject,
        recorded_at=work.now,
    )


async def list_payees(work: Work, page: PageQuery, *, division: str | None, household_no: str | None) -> Page[PayeeOut]:
    """The present accounts of the area, by household number, masked."""
    after = decode_cursor(page.after, str)[0] if page.after else None
    rows = await store.page(
        work.tx,
        work.area,
        within=Area.of([division]) if division else None,
        household_no=household_no,
        after=after,
        limit=page.limit + 1,
    )
    rows, following = page_of(rows, page.limit, lambda row: encode_cursor(row["household_no"]))
    items = [PayeeOut.model_validate({**row, "card_masked": f"****{row['card_last4']}"}) for row in rows]
    return Page(items=items, next=following)
