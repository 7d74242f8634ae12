"""The sheet of contacts (联系方式): what its columns mean."""

import phonenumbers

from services.notify.outbound.text import Language
from shared.sheets import CellError, Column, SheetSpec, cells

_NOT_MOBILE = CellError("not_a_mobile", "不是中国大陆手机号。", "This is not a mobile number of mainland China.")


def mobile(cell: str) -> str:
    """A mobile number of mainland China → its 11 digits. Blanks, dashes and +86 may stand in it.

    Source: handbook sms.md (accept mobile only, region CN). Raises CellError.
    """
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
