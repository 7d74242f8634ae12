"""Personal data: sealed in the column, found by a keyed blind index, masked in every answer.

Source: architecture.md 5; ID numbers GB 11643 and disability certificates, standards.md 7.2. Nothing here is ever logged.
"""

import base64
import hmac
import json
import os
import re
import secrets
import unicodedata
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared import keyfiles

TEST_ID_AREA = "990926"
"""Area of generated ID numbers: no place has a code that begins with 99."""
TEST_PHONE_PREFIX = "19900"
"""Block of generated phones (11 digits in all); every real route refuses it."""
TEST_CARD_PREFIX = "999999"
"""Block of generated bank cards: no bank has it."""

ID_LENGTH = 18
CERTIFICATE_LENGTHS = (20, 22)
"""A disability certificate is the ID number with kind and grade, and two more characters when it was issued anew."""
_ID = re.compile(r"\d{17}[\dX]")
_CERTIFICATE_TAIL = re.compile(r"[1-7]\d(?:[0-9B]{2})?")
_CHECK_DIGITS = "0123456789X"

NONCE_BYTES = 12
KEY_BYTES = 32


class SealBroken(Exception):
    """A sealed value was changed, moved to another column or row, or sealed under a key that is not here."""


class Vault:
    """Seals and opens personal data (AES-256-GCM) and computes blind indices (HMAC-SHA256, one key a kind).

    A keyring holds several keys by id; new values are sealed under the current one, old ones stay readable.
    """

    def __init__(self, *, current: str, keys: Mapping[str, bytes], blind: bytes) -> None:
        """`keys`: id → 32 bytes; `current`: the id to seal under; `blind`: 32 bytes. Raises ValueError on anything else."""
        if current not in keys or any(len(key) != KEY_BYTES for key in (*keys.values(), blind)):
            raise ValueError("a keyring has 32-byte keys, and the current one is among them")
        if any(not re.fullmatch(r"[a-z0-9]{1,16}", name) for name in keys):
            raise ValueError("a key's id is 1 to 16 small letters and digits")
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        self._current = current
        self._blind = blind
        self._blind_by_kind: dict[str, bytes] = {}

    @classmethod
    def at(cls, path: Path, environ: Mapping[str, str] = os.environ) -> "Vault":
        """The vault of a deployment: keyring from DAOHU_KEYS (JSON), else from a file that is made on first use (0600).

        JSON: {"current": id, "keys": {id: base64}, "blind": base64}. Raises ValueError when it is unreadable.
        """
        text = environ.get("DAOHU_KEYS") or keyfiles.secret(path, _new_keyring).decode()
        try:
            ring = json.loads(text)
            return cls(
                current=ring["current"],
                keys={name: base64.b64decode(key, validate=True) for name, key in ring["keys"].items()},
                blind=base64.b64decode(ring["blind"], validate=True),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError("the keyring (DAOHU_KEYS or the key file) cannot be read") from None

    def seal(self, plain: str, *, column: str, row: UUID | str) -> str:
        """Encrypts for one column of one row; only there can it be opened. `<key id>:<base64 of nonce and ciphertext>`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, plain.encode(), _place(column, row))
        return f"{self._current}:{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, *, column: str, row: UUID | str) -> str:
        """The plain text again. Raises SealBroken when value, column or row is not what it was."""
        name, _, body = sealed.partition(":")
        try:
            data = base64.b64decode(body, altchars=b"-_", validate=True)
            if base64.urlsafe_b64encode(data) != body.encode():  # bits of the last character that decoding drops
                raise ValueError
            return self._ciphers[name].decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _place(column, row)).decode()
        except (KeyError, ValueError, InvalidTag):
            raise SealBroken(f"a sealed value of {column} cannot be opened") from None

    def blind(self, plain: str, *, kind: str) -> str:
        """A keyed blind index (64 hex digits): equal for equal values of a kind, in whatever width or case they were typed."""
        key = self._blind_by_kind.get(kind)
        if key is None:
            key = hmac.digest(self._blind, b"daohu blind " + kind.encode(), "sha256")
            self._blind_by_kind[kind] = key
        return hmac.digest(key, normal(plain).encode(), "sha256").hex()


def _place(column: str, row: UUID | str) -> bytes:
    return f"{column}\0{row}".encode()


def _new_keyring() -> bytes:
    def key() -> str:
        return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()

    return json.dumps({"current": "k1", "keys": {"k1": key()}, "blind": key()}).encode()


def normal(text: str) -> str:
    """One spelling of a number people type: half width, no spaces or hyphens, X in upper case."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    elif text.isalnum():
        return text.upper()
    return "".join(text.split()).replace("-", "").upper()


def mask_id(number: str) -> str:
    """First and last character. The rest stays hidden: with birth date and place in the same answer, more would give it away."""
    return _mask(normal(number), 1, 1)


def mask_phone(number: str) -> str:
    """19900123456 → 199****3456."""
    return _mask(normal(number), 3, 4)


def mask_card(number: str) -> str:
    """The last four digits."""
    return _mask(normal(number), 0, 4)


def mask_name(name: str) -> str:
    """张三丰 → 张**. A name of one character is hidden whole."""
    name = name.strip()
    return _mask(name, 1 if len(name) > 1 else 0, 0)


def _mask(text: str, head: int, tail: int) -> str:
    hidden = len(text) - head - tail
    return text[:head] + "*" * hidden + text[len(text) - tail :] if hidden > 0 else "*" * len(text)


def make_check_digit(first17: str) -> str:
    """The 18th character of an ID number (ISO 7064 MOD 11-2). Source: GB 11643; standards.md 7.2."""
    # A digit's weight is a power of 2 modulo 11, and 13 is 2 modulo 11: the digits read to base 13 are their weighted sum.
    return _CHECK_DIGITS[(1 - 2 * int(first17, 13)) % 11]


def id_number_problems(text: str) -> str | None:
    """What is wrong with an ID or disability-certificate number, as a code; None when its form, date and check digit are right.

    Codes: id_15_digits (must be upgraded to 18), id_length, id_characters, id_date, id_check_digit, id_certificate.
    The place is never judged: codes of places that are gone are valid. Source: GB 11643; standards.md 1.3 and 7.2.
    """
    number = normal(text)
    if len(number) != ID_LENGTH and len(number) not in CERTIFICATE_LENGTHS:
        return "id_15_digits" if len(number) == 15 and number.isdigit() else "id_length"
    body, tail = number[:ID_LENGTH], number[ID_LENGTH:]
    if not (body.isascii() and _ID.fullmatch(body)):
        return "id_characters"
    try:
        date(int(body[6:10]), int(body[10:12]), int(body[12:14]))
    except ValueError:
        return "id_date"
    if body[17] != make_check_digit(body[:17]):
        return "id_check_digit"
    if tail and not _CERTIFICATE_TAIL.fullmatch(tail):
        return "id_certificate"
    return None


def birth_date(number: str) -> date:
    """The birth date in a valid ID number."""
    digits = normal(number)
    return date(int(digits[6:10]), int(digits[10:12]), int(digits[12:14]))


def sex(number: str) -> str:
    """The sex in a valid ID number, as a code of GB/T 2261.1: 1 male (odd sequence), 2 female (even)."""
    return "1" if int(normal(number)[16]) % 2 else "2"


def is_test_phone(number: str) -> bool:
    """Whether a phone lies in the block of generated phones, with or without the country code."""
    digits = normal(number).removeprefix("+")
    digits = digits.removeprefix("0086") if digits.startswith("0086") else digits
    digits = digits.removeprefix("86") if len(digits) == 13 else digits
    return digits.startswith(TEST_PHONE_PREFIX)
