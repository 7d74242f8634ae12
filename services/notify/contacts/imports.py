"""The sheet of contacts (联系方式) and its import kind."""

from collections.abc import Sequence

from services.notify.contacts import service, store
from services.notify.contacts.service import PHONE
from services.notify.contacts.store import Phone
from services.notify.outbound.text import Language
from shared.imports.kinds import ImportKind, Prepared, Tally, only
from shared.pii import forms
from shared.roles import Role
from shared.scope import EVERYWHERE
from shared.sheets import CellError, Checked, Column, RowError, SheetSpec, ValidRow, cells
from shared.work import Work

_NOT_MOBILE = CellError("not_a_mobile", "不是中国大陆手机号。", "This is not a mobile number of mainland China.")


def mobile(cell: str) -> str:
    """A mobile number of mainland China → its 11 digits. Blanks, dashes and +86 may stand in it.

    Source: handbook sms.md (accept mobile only, region CN). Raises CellError.
    """
    import phonenumbers  # 60 ms, needed by an import alone

    try:
        number = phonenumbers.parse(cell, "CN")
    except phonenumbers.NumberParseException:
        raise _NOT_MOBILE from None
    kind = phonenumbers.number_type(number)
    if number.country_code != 86 or kind != phonenumbers.PhoneNumberType.MOBILE:
        raise _NOT_MOBILE
    return str(number.national_number)


CONTACTS = SheetSpec(
    name="contacts",
    title="联系方式",
    columns=(
        Column("cadre_no", ("干部编号", "cadre_no", "cadre number"), cells.business_no(), help="与干部名录一致"),
        Column("phone", ("手机号", "手机", "phone", "mobile"), mobile, help="11 位手机号"),
        Column(
            "language",
            ("短信语言", "language"),
            cells.one_of({"中文": Language.ZH, "zh": Language.ZH, "英文": Language.EN, "en": Language.EN}),
            required=False,
            help="中文或英文，默认中文",
            choices=("中文", "英文"),
        ),
    ),
    unique=(("cadre_no",), ("phone",)),
)


async def prepare(work: Work, sheets: Sequence[Checked | None]) -> Prepared:
    """Judges the rows against the cadres of the area and the numbers of everybody. Changes nothing yet."""
    checked = only(sheets)
    indexes = {row.number: work.vault.blind(row.values["phone"], kind=PHONE) for row in checked.valid}
    checked = await _against_database(work, checked, indexes)

    async def write() -> Tally:
        before = await store.phones_of(work.tx, _numbers(checked), work.area)
        different = [row for row in checked.valid if not _same(work, row, before, indexes[row.number])]
        await store.keep_phones(work.tx, [_sealed(work, row, indexes[row.number]) for row in different], at=work.now)
        changed = sum(row.values["cadre_no"] in before for row in different)
        return Tally(len(different) - changed, changed, len(checked.valid) - len(different))

    return Prepared((checked,), write)


KIND = ImportKind("contacts", (CONTACTS,), prepare, (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE))


def _numbers(checked: Checked) -> list[str]:
    return [row.values["cadre_no"] for row in checked.valid]


async def _against_database(work: Work, checked: Checked, indexes: dict[int, str]) -> Checked:
    """Good rows that the database refuses become errors."""
    posts = await store.appointments_of(work.tx, _numbers(checked), work.area)
    # Who has gone to another county is reached as that one says.
    known = {post.cadre_no for post in posts if post.until is None or post.until > work.today}
    # A number is taken wherever its holder is: the caller learns that it is taken, not by whom.
    holders = await store.cadres_by_phone(work.tx, indexes.values(), EVERYWHERE)
    while True:
        freed = set(_numbers(checked))
        errors = [
            error
            for row in checked.valid
            if (error := _refused(checked, row, known, holders.get(indexes[row.number]), freed))
        ]
        if not errors:
            return checked
        checked = checked.without(errors)  # a row that fails may have been about to free the number of another


def _refused(checked: Checked, row: ValidRow, known: set[str], holder: str | None, freed: set[str]) -> RowError | None:
    cadre_no = row.values["cadre_no"]
    if cadre_no not in known:
        return checked.error(
            row, "cadre_no", "unknown_cadre", "干部名录中没有此编号。", "The directory has no cadre of this number."
        )
    if holder is not None and holder != cadre_no and holder not in freed:
        return checked.error(
            row, "phone", "phone_taken", "此手机号已登记给其他干部。", "This number belongs to another cadre."
        )
    return None


def _language(row: ValidRow) -> str:
    return row.values["language"] or Language.ZH


def _same(work: Work, row: ValidRow, before: dict[str, Phone], index: str) -> bool:
    old = before.get(row.values["cadre_no"])
    if old is None or not work.vault.knows(old.phone_sealed):
        return False  # a number whose key is lost is entered anew
    return old.phone_index in forms([index]) and old.language == _language(row)


def _sealed(work: Work, row: ValidRow, index: str) -> Phone:
    return service.seal_phone(work, row.values["cadre_no"], row.values["phone"], index=index, language=_language(row))
