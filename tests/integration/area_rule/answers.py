"""What an answer says, whatever it is packed in, and what of it may differ between two houses that did the same."""

import base64
import binascii
import io
import re
import zipfile
from typing import Any

import httpx
import openpyxl
import orjson

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HASH = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"key-\d+")
_PLACE = re.compile(r"/funds/v1/proofs/\d+")
_PLACES = frozenset({"seq", "entry_seq", "held_seq", "paid_seq", "voided_seq", "index", "size"})
"""Places in the county's one chain of entries (and so in its log): they tell how many entries there are, as a log must."""


def text_of(answer: httpx.Response) -> str:
    """Everything the answer says: cells and comments of a workbook, members of a zip, what a cursor holds."""
    head = " ".join(answer.headers.get(name, "") for name in ("etag", "content-disposition", "location"))
    body = answer.content
    if body.startswith(b"PK"):
        sheet = "spreadsheet" in answer.headers["content-type"]
        return f"{head}\n{_workbook(body) if sheet else _members(body)}"
    return f"{head}\n{body.decode()}\n{_cursor(answer)}"


def _workbook(data: bytes) -> str:
    cells = [cell for sheet in openpyxl.load_workbook(io.BytesIO(data)) for row in sheet.iter_rows() for cell in row]
    said = [str(cell.value) for cell in cells if cell.value is not None]
    return "\n".join(said + [cell.comment.text for cell in cells if cell.comment])


def _members(data: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return "\n".join(f"{name}\n{file.read(name).decode()}" for name in file.namelist())


def _cursor(answer: httpx.Response) -> str:
    cursor = next_of(answer)
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return cursor


def next_of(answer: httpx.Response) -> str:
    """The cursor of the following page; empty on the last one, and for what has no pages."""
    if "json" not in answer.headers.get("content-type", ""):
        return ""
    body = answer.json()
    following = body.get("next") if isinstance(body, dict) else None
    return following if isinstance(following, str) else ""


def comparable(answer: httpx.Response) -> str:
    """The answer without ids, hashes, cursors and places in the chain: equal in two houses that did the same."""
    if "json" not in answer.headers.get("content-type", ""):
        return f"{answer.status_code} {blanked(text_of(answer))}"
    body = orjson.dumps(_without(answer.json()), option=orjson.OPT_SORT_KEYS).decode()
    return f"{answer.status_code} {blanked(body)}"


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _place(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without(inner) for inner in value]
    return value


def _place(key: str, value: Any) -> Any:
    if key in _PLACES:
        return value is not None
    return "…" if key == "next" and isinstance(value, str) else _without(value)


def blanked(text: str) -> str:
    for pattern, name in ((_ID, "<id>"), (_HASH, "<hash>"), (_KEY, "<key>"), (_PLACE, "<proof>")):
        text = pattern.sub(name, text)
    return text
