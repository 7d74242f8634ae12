"""Why a whole file is refused. Each says in Chinese and English what to do; nothing was changed."""

from typing import Any

from shared.errors import Malformed, Refusal, TooLarge


class WrongFile(Malformed):
    """A file that cannot be read as the sheet it should be. `detail_zh` travels with the English detail."""

    code = "file_unreadable"

    def __init__(self, en: str, zh: str, **facts: Any) -> None:
        Refusal.__init__(self, en, detail_zh=zh, **facts)


class FileTooLarge(TooLarge):
    code = "file_too_large"

    def __init__(self, en: str, zh: str, **facts: Any) -> None:
        Refusal.__init__(self, en, detail_zh=zh, **facts)


class EmptyFile(WrongFile):
    code = "file_empty"


class NotXlsx(WrongFile):
    code = "not_xlsx"


class OldXls(NotXlsx):
    code = "old_xls"


class PasswordProtected(NotXlsx):
    code = "password_protected"


class HasMacros(NotXlsx):
    code = "has_macros"


class ZipBomb(FileTooLarge):
    code = "zip_bomb"


class XmlBomb(WrongFile):
    code = "xml_bomb"


class SheetMissing(WrongFile):
    code = "sheet_missing"


class HeaderMissing(WrongFile):
    code = "header_missing"


class ColumnsMissing(WrongFile):
    code = "columns_missing"


class ColumnsDoubled(WrongFile):
    code = "columns_doubled"


class ColumnsUnknown(WrongFile):
    code = "columns_unknown"


class TooManyRows(FileTooLarge):
    code = "too_many_rows"


class TooManyColumns(FileTooLarge):
    code = "too_many_columns"


class MergedTooMuch(WrongFile):
    code = "merged_too_much"


class UnknownEncoding(WrongFile):
    code = "encoding_unknown"


class MixedEncodings(WrongFile):
    code = "encodings_mixed"


class WrongDelimiter(WrongFile):
    code = "wrong_delimiter"


class NulBytes(WrongFile):
    code = "nul_bytes"


class BrokenQuotes(WrongFile):
    code = "broken_quotes"
