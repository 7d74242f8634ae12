"""`python -m services.personal_table check` or `write`: what is kept of people, from the marks on the columns, in docs/personal-data.md"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import MetaData

from services.catalogue import NAMES, part
from shared import tables
from shared.personal import Form, marked

COMMITTED = Path(__file__).parent.parent / "docs" / "personal-data.md"
BEGIN = "<!-- written by `make contracts` from the marks on the columns -->"
END = "<!-- end of what is written -->"

FORMS = {
    Form.SEALED: "封存 sealed",
    Form.INDEX: "盲索引 blind index",
    Form.MASKED: "掩码 masked",
    Form.OPEN: "明文 open",
}


def table() -> str:
    """The inventory as Markdown: one row a column, the kit's own tables last."""
    lines = [
        "| 字段 column | 内容 what | 用途 what for | 形式 form | 保留 kept | 谁可见 who sees it |",
        "| --- | --- | --- | --- | --- | --- |",
        *(row for name in NAMES for row in _rows(name, part(name).tables)),
        *_rows("each service", tables.metadata),
    ]
    return "\n".join(lines) + "\n"


def written(document: str) -> str:
    """The document with today's inventory between its marks. Raises ValueError when they are not there."""
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the document lacks the lines {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{table()}\n{END}{tail}"


def _rows(service: str, metadata: MetaData) -> Iterator[str]:
    for column, mark in marked(metadata):
        cells = (f"`{service}.{column}`", mark.what, mark.why, FORMS[mark.form], mark.kept, mark.shown)
        yield "| " + " | ".join(re.sub(r"\|", "\\|", cell) for cell in cells) + " |"


def main() -> None:
    said = COMMITTED.read_text(encoding="utf-8")
    if sys.argv[1:] == ["write"]:
        COMMITTED.write_text(written(said), encoding="utf-8")
    elif said != written(said):
        sys.exit(f"{COMMITTED.name} is not what the columns' marks say. Run: make contracts")


if __name__ == "__main__":
    main()
