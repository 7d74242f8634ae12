"""The empty workbook (模板) to fill in: headers, what each column means, lists to choose from."""

import io
from functools import cache

from shared.sheets.spec import LIMITS, SheetSpec

_LIST_CHARACTERS = 255
"""Excel's limit for a list written into a validation."""
_WIDTH = 16


@cache
def template(specs: tuple[SheetSpec, ...]) -> bytes:
    """An XLSX with one sheet a spec, made once. Required columns are dark; every column is text, so that numbers keep their digits."""
    output = io.BytesIO()
    import xlsxwriter  # as in annotate.py

    with xlsxwriter.Workbook(output) as book:
        text = book.add_format({"num_format": "@"})
        required = book.add_format(
            {"bold": True, "bg_color": "#1F4E79", "font_color": "#FFFFFF", "num_format": "@", "text_wrap": True}
        )
        optional = book.add_format({"bold": True, "bg_color": "#DDEBF7", "num_format": "@", "text_wrap": True})
        for spec in specs:
            sheet = book.add_worksheet(spec.title)
            sheet.freeze_panes(1, 0)
            sheet.set_column(0, len(spec.columns) - 1, _WIDTH, text)
            for i, column in enumerate(spec.columns):
                sheet.write_string(0, i, column.title, required if column.required else optional)
                hint = "\n".join(
                    filter(
                        None,
                        (
                            "必填 Required" if column.required else "选填 Optional",
                            " / ".join(column.titles[1:]),
                            column.help,
                        ),
                    )
                )
                sheet.write_comment(0, i, hint, {"x_scale": 2})
                if column.choices and len(",".join(column.choices)) <= _LIST_CHARACTERS:
                    sheet.data_validation(
                        1,
                        i,
                        LIMITS.rows,
                        i,
                        {"validate": "list", "source": list(column.choices), "error_type": "warning"},
                    )
    return output.getvalue()
