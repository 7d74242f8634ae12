"""Money is integer fen (分). Yuan appear only as text for people. Sharing out loses no fen."""

import re
from collections.abc import Sequence

MAX_FEN = 10**15
"""Ten trillion yuan: far above any county's budget, far below what 64 bits hold."""

_YUAN = re.compile(r"(-?)(\d{1,14})(?:\.(\d{1,2}))?", re.ASCII)


def yuan(fen: int) -> str:
    """123456 → "1234.56"."""
    sign, fen = ("-", -fen) if fen < 0 else ("", fen)
    return f"{sign}{fen // 100}.{fen % 100:02d}"


def fen(text: str) -> int:
    """Yuan as text → fen: "1234.5" → 123450. Raises ValueError on more than two decimals, other digits, or more than MAX_FEN."""
    if not (found := _YUAN.fullmatch(text.strip())):
        raise ValueError(f"{text!r} is not an amount in yuan with at most two decimals")
    sign, whole, part = found.groups()
    amount = int(whole) * 100 + int((part or "").ljust(2, "0"))
    if amount > MAX_FEN:
        raise ValueError(f"{text!r} is not an amount a county has: at most {yuan(MAX_FEN)} yuan")
    return -amount if sign else amount


def share_out(total_fen: int, weights: Sequence[int]) -> list[int]:
    """Shares a sum in proportion to weights by largest remainder (最大余额法); the shares add up to the sum.

    Equal remainders go to the earlier one, so the order of `weights` must itself be meaningful and stable.
    Raises ValueError for a negative sum or weight, or when all weights are zero.
    """
    whole = sum(weights)
    if total_fen < 0 or whole <= 0 or min(weights) < 0:
        raise ValueError("a sum of at least 0 fen is shared by weights of at least 0, one of them positive")
    shares = [total_fen * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total_fen * weights[i] % whole), i))
    for i in by_remainder[: total_fen - sum(shares)]:
        shares[i] += 1
    return shares


def split_by_source(amounts_fen: Sequence[int], sources_fen: Sequence[int]) -> list[list[int]]:
    """Says which source pays how much of each amount: every row adds up to its amount, every column to its source.

    Each amount is shared out over what the sources still have, so no cell is negative and no source is overdrawn.
    Raises ValueError unless both sides add up to the same sum.
    """
    if sum(sources_fen) != sum(amounts_fen) or min([*amounts_fen, *sources_fen], default=0) < 0:
        raise ValueError("the amounts and the sources must add up to the same sum, none of them negative")
    left = list(sources_fen)
    rows: list[list[int]] = []
    for amount in amounts_fen:
        row = share_out(amount, left) if amount else [0] * len(left)
        left = [have - pay for have, pay in zip(left, row, strict=True)]
        rows.append(row)
    return rows
