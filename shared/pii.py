"""Personal data: sealed in the column, found by a keyed blind index, masked in every answer.

Source: architecture.md 5; ID numbers GB 11643 and disability certificates, standards.md 7.2. Nothing here is ever logged.
"""

import base64
import hmac
import os
import re
import secrets
import time
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared import keyfiles
from shared.clock import Clock, SystemClock
from shared.errors import Refusal
from shared.keyring import UNTAGGED, Key, Purpose, Ring, RingFile
from shared.observability import log

_log = log("kit")

TEST_ID_AREA = "990926"
"""Area of generated ID numbers: no place has a code that begins with 99."""
TEST_PHONE_PREFIX = "19900"
"""Block of generated phones (11 digits in all); every real route refuses it."""
TEST_CARD_PREFIX = "999999"
"""Block of generated bank cards: no bank has it."""

ID_LENGTH = 18
ID_KIND = "id_number"
"""Kind of the blind index of people: everywhere the same, so that one person is recognised in any list of the deployment."""
CERTIFICATE_LENGTHS = (20, 22)
"""A disability certificate is the ID number with kind and grade, and two more characters when it was issued anew."""
_ID = re.compile(r"\d{17}[\dX]")
_CERTIFICATE_TAIL = re.compile(r"[1-7]\d(?:[0-9B]{2})?")
_KEY_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")
_CHECK_DIGITS = "0123456789X"

NONCE_BYTES = 12
INDEX_DIGITS = 64
LOOK_EVERY_S = 1.0
"""How often a process looks whether the keyring was changed."""


class SealBroken(Refusal):
    """A sealed value was changed, moved to another column or row, or sealed under a key that is not here."""

    code = "sealed_value_unreadable"


class KeyLost(SealBroken):
    """A sealed value whose key is not in the keyring: who has lost it enters the value anew."""

    code = "sealed_key_lost"


class BlindIndex(str):
    """A blind index while keys are rotated: `older` are those of the same value under the keys before."""

    __slots__ = ("older",)
    older: tuple[str, ...]


def forms(indexes: Iterable[str]) -> dict[str, str]:
    """Whatever may stand in a column for these values → the index as it is written now. More than one while keys are rotated."""
    return {form: index for index in indexes for form in (index, *getattr(index, "older", ()))}


class Vault:
    """Seals and opens personal data (AES-256-GCM) and computes blind indices (HMAC-SHA256, one key a kind).

    New values are sealed under the keyring's current key, older ones stay readable while their key is in it. Processes
    notice a keyring that was changed within LOOK_EVERY_S, or as soon as they meet a key that they do not know.
    """

    def __init__(self, ring: Ring, *, file: RingFile | None = None, clock: Clock | None = None) -> None:
        """`file`: where the keyring is read again when it changes. `clock`: the machine's, which says which key is due."""
        self._file, self._clock = file, clock or SystemClock()
        self._mark = file.mark() if file else None
        self._look_at = 0.0
        self._take(ring)

    @classmethod
    def at(cls, path: Path, environ: Mapping[str, str] = os.environ) -> "Vault":
        """The vault of a deployment: its keyring from DAOHU_KEYS, else from a file that is made on first use.

        Raises KeysUnreadable, KeyFileExposed.
        """
        file = RingFile(path, environ)
        return cls(file.read(), file=file)

    @property
    def ring(self) -> Ring:
        """The keyring as this process knows it."""
        return self._ring

    @property
    def current_key(self) -> str:
        """Id of the key that values are sealed under now."""
        return self._current

    @property
    def current_tag(self) -> str:
        """What indexes begin with that are made now."""
        return self._tag

    def under_older(self, purpose: Purpose) -> bool:
        """Whether values may stand under keys before the current one, and no newer one waits to become it."""
        keys = self._ring.of(purpose)
        return len(keys) > 1 and self._ring.current(purpose, self._clock.now()) is keys[-1]

    def look(self) -> None:
        """Takes up a keyring that was changed, and a key that became due. Once in LOOK_EVERY_S; else it costs a comparison."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            self.refresh()

    def refresh(self) -> None:
        """Reads the keyring again if it was changed. One that cannot be read now changes nothing: the keys at hand go on."""
        if self._file is not None:
            try:
                if (mark := self._file.mark()) != self._mark:
                    self._take(self._file.read())
                    self._mark = mark
            except (OSError, keyfiles.KeyFileBroken, keyfiles.KeyFileExposed) as error:
                _log.error("keyring_not_read", error=type(error).__name__)
        self._settle()

    def seal(self, plain: str, *, column: str, row: UUID | str) -> str:
        """Encrypts for one column of one row; only there can it be opened. `<key id>:<base64 of nonce and ciphertext>`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, plain.encode(), _place(column, row))
        return f"{self._current}:{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, *, column: str, row: UUID | str) -> str:
        """The plain text again. Raises SealBroken when value, column or row is not what it was; KeyLost."""
        name, _, body = sealed.partition(":")
        try:
            data = base64.b64decode(body, altchars=b"-_", validate=True)
            if base64.urlsafe_b64encode(data) != body.encode():  # bits of the last character that decoding drops
                raise ValueError
            return self._cipher(name).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _place(column, row)).decode()
        except (ValueError, InvalidTag):
            raise SealBroken(f"A sealed value of {column} cannot be opened: it was changed or moved.") from None
        except KeyError:
            raise _lost(column, name) from None

    def open_if_here(self, sealed: str, *, column: str, row: UUID | str) -> str | None:
        """The plain text; None when its key is lost. For lists, which go on without it, and for what is entered anew."""
        try:
            return self.open(sealed, column=column, row=row)
        except KeyLost:
            return None

    def knows(self, sealed: str) -> bool:
        """Whether the key of a sealed value is here."""
        try:
            return bool(self._cipher(sealed.partition(":")[0]))
        except KeyError:
            return False

    def blind(self, plain: str, *, kind: str) -> str:
        """A keyed blind index (64 hex digits): equal for equal values of a kind, in whatever width or case they were typed.

        A disability certificate begins with its holder's ID number and has the index of that: both are one person.
        Write it as it is; look it up by its `forms`: a BlindIndex while there are keys before the current one.
        """
        keys = self._blind_by_kind.get(kind) or self._derive(kind)
        text = (normal(plain)[:ID_LENGTH] if kind == ID_KIND else normal(plain)).encode()
        tag, key = keys[0]
        index = (tag + hmac.digest(key, text, "sha256").hex())[:INDEX_DIGITS]
        if len(keys) == 1:
            return index
        both = BlindIndex(index)
        both.older = tuple((tag + hmac.digest(key, text, "sha256").hex())[:INDEX_DIGITS] for tag, key in keys[1:])
        return both

    def _take(self, ring: Ring) -> None:
        self._ring = ring
        self._ciphers = {key.id: AESGCM(key.secret) for key in ring.data}
        self._settle()

    def _settle(self) -> None:
        """Which keys are current now."""
        now = self._clock.now()
        self._current = self._ring.current("data", now).id
        blind = self._ring.current("blind", now)
        self._tag = tag_of(blind)
        self._blind_keys = (blind, *(key for key in reversed(self._ring.blind) if key is not blind))
        self._blind_by_kind: dict[str, list[tuple[str, bytes]]] = {}

    def _cipher(self, name: str) -> AESGCM:
        """Raises KeyError when no keyring knows this key."""
        if name not in self._ciphers:
            self.refresh()  # another process may have sealed under a key made a moment ago
        return self._ciphers[name]

    def _derive(self, kind: str) -> list[tuple[str, bytes]]:
        words = b"daohu blind " + kind.encode()
        keys = [(tag_of(key), hmac.digest(key.secret, words, "sha256")) for key in self._blind_keys]
        self._blind_by_kind[kind] = keys
        return keys


def tag_of(key: Key) -> str:
    """What every blind index under this key begins with."""
    return "" if key.id == UNTAGGED else key.id


def _lost(column: str, name: str) -> KeyLost:
    known = name if _KEY_NAME.fullmatch(name) else "unknown"  # what was never sealed may be a number of a person
    return KeyLost(
        f"A value of {column} is sealed under the key {known}, which is not here. Put the keyring's copy back, "
        "or enter the value anew (docs/personal-data.md).",
        key=known,
    )


def _place(column: str, row: UUID | str) -> bytes:
    return f"{column}\0{row}".encode()


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
