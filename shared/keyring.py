"""The keyring (密钥环): the keys of personal data by id, each wrapped by a master key that lies apart from it

A key becomes the current one at its `since`, some seconds after it was made, so that every process knows it before anything is
sealed under it. Key wrap: RFC 3394. Decision: docs/decisions/0021-keys-and-personal-data.md.
"""

import base64
import json
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from shared import keyfiles

KEY_BYTES = 32
BLIND_ID_BYTES = 6
"""Of the random id of a blind key: every index under it begins with these."""

UNTAGGED = "untagged"
"""Id of the blind key of a deployment that began before blind keys had ids: its indexes begin with none."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""`since` of keys that were there before keys had one."""

Purpose = Literal["data", "blind"]
_ID = re.compile(r"[a-z0-9]{1,16}")
_READS = 3
"""A rotation writes two files; whoever reads in between reads again."""


class KeysUnreadable(keyfiles.KeyFileBroken):
    """Keyring or master key are not there or not readable. The text says which and what to do, and holds nothing of them."""


class KeyWrapper(Protocol):
    """What wraps keys. Ours is a master key in a file or in the environment; a key service (KMS) fits in its place."""

    id: str
    """The key that wraps now."""

    def wrap(self, secret: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes, by: str) -> bytes | None:
        """None when the key `by` is not here, or has not wrapped this."""
        ...


class MasterKeys:
    """Master keys: the first wraps, all of them unwrap. As a text: `id:base64`, one a line or separated by commas."""

    def __init__(self, text: str) -> None:
        try:
            pairs = [entry.strip().split(":", 1) for entry in text.replace(",", "\n").splitlines() if entry.strip()]
            self._keys = {id: base64.b64decode(key, validate=True) for id, key in pairs}
            if not self._keys or any(len(key) != KEY_BYTES or not _ID.fullmatch(id) for id, key in self._keys.items()):
                raise ValueError
        except ValueError:
            raise KeysUnreadable("The master key cannot be read: it is `id:base64 of 32 bytes`, one a line.") from None
        self.id = next(iter(self._keys))

    def wrap(self, secret: bytes) -> bytes:
        return aes_key_wrap(self._keys[self.id], secret)

    def unwrap(self, wrapped: bytes, by: str) -> bytes | None:
        try:
            return aes_key_unwrap(self._keys[by], wrapped)
        except (KeyError, InvalidUnwrap, ValueError):
            return None

    def followed(self) -> "MasterKeys":
        """These and a new one, which wraps from now on."""
        return MasterKeys(f"m{1 + max(_number(id) for id in self._keys)}:{_encoded(_fresh())}\n{self.text()}")

    def alone(self) -> "MasterKeys":
        """The one that wraps, without those before it."""
        return MasterKeys(f"{self.id}:{_encoded(self._keys[self.id])}")

    def text(self) -> str:
        return "".join(f"{id}:{_encoded(key)}\n" for id, key in self._keys.items())


@dataclass(frozen=True, slots=True)
class Key:
    """A key of one purpose. `since`: when it becomes the current one (the machine's clock)."""

    id: str
    secret: bytes
    since: datetime

    def __repr__(self) -> str:
        return f"Key({self.id!r}, since={self.since.isoformat()})"


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys in the order in which they became current. `lost`: ids that are listed and cannot be unwrapped."""

    data: tuple[Key, ...]
    blind: tuple[Key, ...]
    wrapped_by: str = ""
    """Id of the master key; empty in a keyring of before there was one."""
    lost: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        keys = (*self.data, *self.blind)
        if not (self.data and self.blind) or any(len(key.secret) != KEY_BYTES for key in keys):
            raise ValueError("a keyring has 32-byte keys, one of data and a blind one at least")
        if any(not _ID.fullmatch(key.id) for key in keys):
            raise ValueError("a key's id is 1 to 16 small letters and digits")

    @classmethod
    def new(cls) -> "Ring":
        return cls((Key("k1", _fresh(), EPOCH),), (Key(secrets.token_hex(BLIND_ID_BYTES), _fresh(), EPOCH),))

    def of(self, purpose: Purpose) -> tuple[Key, ...]:
        return self.data if purpose == "data" else self.blind

    def current(self, purpose: Purpose, at: datetime) -> Key:
        """The newest that is due; the first while none is."""
        keys = self.of(purpose)
        return next((key for key in reversed(keys) if key.since <= at), keys[0])

    def followed(self, purpose: Purpose, *, since: datetime) -> "Ring":
        """With a new key of a purpose that becomes the current one at `since`."""
        if purpose == "data":
            id = f"k{1 + max(map(_number, (*self.lost, *(key.id for key in self.data))))}"
            return replace(self, data=(*self.data, Key(id, _fresh(), since)))
        return replace(self, blind=(*self.blind, Key(secrets.token_hex(BLIND_ID_BYTES), _fresh(), since)))

    def without(self, purpose: Purpose, ids: Collection[str]) -> "Ring":
        """Without keys of a purpose; its newest stays."""
        *before, newest = self.of(purpose)
        kept = (*(key for key in before if key.id not in ids), newest)
        return replace(self, data=kept) if purpose == "data" else replace(self, blind=kept)


class RingFile:
    """Where a deployment's keyring lies: DAOHU_KEYS, else a file that is made on first use (0600).

    Its master key: DAOHU_MASTER_KEY, or the file that DAOHU_MASTER_KEY_FILE names, else `master.key` beside the keyring.
    """

    def __init__(self, path: Path, environ: Mapping[str, str] = os.environ) -> None:
        # A compose file passes what is not set as empty.
        self.path, self._given = path, environ.get("DAOHU_KEYS") or None
        self._master_given = environ.get("DAOHU_MASTER_KEY") or None
        self.master_path = Path(environ.get("DAOHU_MASTER_KEY_FILE") or path.with_name("master.key"))

    @property
    def exists(self) -> bool:
        """Whether there is one; reading would make one."""
        return self._given is not None or self.path.exists()

    def mark(self) -> tuple[int, int]:
        """Changes with every write, as each makes a new file. Raises OSError."""
        if self._given is not None:
            return (0, 0)
        file = os.stat(self.path)
        return file.st_mtime_ns, file.st_ino

    def read(self) -> Ring:
        """Raises KeysUnreadable, KeyFileExposed."""
        for _ in range(_READS):
            ring = _read(self._given or keyfiles.secret(self.path, self._made), self._master)
            if ring is not None:
                return ring
        raise KeysUnreadable(
            f"The master key that wraps {self.path} is not in {self.master_path} or DAOHU_MASTER_KEY. Put it back, or the "
            "keyring's copy if that is damaged; without them nothing that is sealed can be read (docs/personal-data.md)."
        )

    def master(self) -> MasterKeys:
        """The master keys, made on first use. Raises KeysUnreadable, KeyFileExposed."""
        if self._master_given is not None:
            return MasterKeys(self._master_given)
        made = f"m1:{_encoded(_fresh())}\n".encode
        return MasterKeys(keyfiles.secret(self.master_path, made).decode("ascii", "replace"))

    def follow(self, purpose: Purpose, *, since: datetime) -> Key:
        """A new key of a purpose, which becomes the current one at `since`. Raises KeysUnreadable, KeyFileExposed."""
        with self._changing() as ring:
            after = ring.followed(purpose, since=since)
            self._write(after, self.master())
        return after.of(purpose)[-1]

    def retire(self, purpose: Purpose, ids: Collection[str]) -> None:
        """Takes keys out that nothing stands under any more; the newest stays. Raises KeysUnreadable, KeyFileExposed."""
        with self._changing() as ring:
            self._write(ring.without(purpose, ids), self.master())

    def forget(self, id: str) -> bool:
        """Takes a key out that cannot be unwrapped: what stands under it is lost for good. False when there is none of this id."""
        with self._to_itself() as ring:
            if id not in ring.lost:
                return False
            newest = _number(id) > max(_number(key.id) for key in ring.data)
            left = ring.followed("data", since=EPOCH) if newest else ring  # its name must not be the next new key's
            self._write(replace(left, lost=tuple(other for other in ring.lost if other != id)), self.master())
        return True

    def follow_master(self) -> str:
        """Wraps the keyring under a new master key and drops the one before; answers its id.

        One from the environment is the operator's to change: first in DAOHU_MASTER_KEY stands the new one, after it the old.
        Raises KeysUnreadable, KeyFileExposed.
        """
        with self._changing() as ring:
            master = self.master()
            if self._master_given is None:
                master = master.followed()
                keyfiles.replace(self.master_path, master.text().encode())
            elif master.id == ring.wrapped_by:
                raise KeysUnreadable(
                    "DAOHU_MASTER_KEY begins with the key that wraps already. Put `id:base64` of a new one before it, here and "
                    "for all processes, and rotate again; then leave the old one out."
                )
            self._write(ring, master)
            if self._master_given is None:
                keyfiles.replace(self.master_path, master.alone().text().encode())
        return master.id

    @contextmanager
    def _to_itself(self) -> Iterator[Ring]:
        """The keyring as it is; nobody else changes it meanwhile."""
        if self._given is not None:
            raise KeysUnreadable(
                "The keyring is in DAOHU_KEYS. Put it into a file (docs/personal-data.md); then it can change."
            )
        with keyfiles.alone(self.path.parent):
            yield self.read()

    @contextmanager
    def _changing(self) -> Iterator[Ring]:
        """The same, of which no key is lost."""
        with self._to_itself() as ring:
            if ring.lost:
                raise KeysUnreadable(
                    f"The keyring's key {ring.lost[0]} cannot be unwrapped. Put the copy of {self.path} back; if there is none, "
                    f"`daohu keys forget {ring.lost[0]}`: what stands under it is lost then."
                )
            yield ring

    def _write(self, ring: Ring, master: KeyWrapper) -> None:
        keyfiles.replace(self.path, _text(ring, master))

    def _master(self) -> MasterKeys | None:
        """The master keys as they are; None when there are none: for a keyring that exists no new one helps."""
        if self._master_given is None and not self.master_path.exists():
            return None
        return self.master()

    def _made(self) -> bytes:
        return _text(Ring.new(), self.master())


def _read(text: str | bytes, master: Callable[[], KeyWrapper | None]) -> Ring | None:
    """None when its master key is not there, or opens none of a purpose. Raises KeysUnreadable."""
    try:
        said = json.loads(text)
        if "wrapped_by" not in said:
            return _plain(said)
        by: str = said["wrapped_by"]
        wrapper = master()
        if wrapper is None:
            return None
        keys: dict[str, list[Key]] = {"data": [], "blind": []}
        lost = []
        for purpose, found in keys.items():
            for entry in said[purpose]:
                secret = wrapper.unwrap(_decoded(entry["key"]), by)
                if secret is None:
                    lost.append(str(entry["id"]))
                else:
                    found.append(Key(entry["id"], secret, datetime.fromisoformat(entry["since"])))
        if not keys["data"] or not keys["blind"]:
            return None
        return Ring(tuple(keys["data"]), tuple(keys["blind"]), by, tuple(lost))
    except KeysUnreadable:
        raise
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KeysUnreadable("the keyring (DAOHU_KEYS or the key file) cannot be read") from None


def _plain(said: dict[str, Any]) -> Ring:
    """A keyring of before there was a master key: {"current": id, "keys": {id: base64}, "blind": base64}."""
    keys = {id: base64.b64decode(key, validate=True) for id, key in said["keys"].items()}
    last = said["current"]
    if last not in keys:
        raise ValueError("the current key is not in the keyring")
    ordered = [*(id for id in keys if id != last), last]
    blind = Key(UNTAGGED, base64.b64decode(said["blind"], validate=True), EPOCH)
    return Ring(tuple(Key(id, keys[id], EPOCH) for id in ordered), (blind,))


def _text(ring: Ring, master: KeyWrapper) -> bytes:
    def listed(keys: tuple[Key, ...]) -> list[dict[str, str]]:
        return [
            {"id": key.id, "since": key.since.isoformat(), "key": _encoded(master.wrap(key.secret))} for key in keys
        ]

    said = {"wrapped_by": master.id, "data": listed(ring.data), "blind": listed(ring.blind)}
    return json.dumps(said, indent=1).encode() + b"\n"


def _fresh() -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    """Nothing when the line is damaged: that unwraps to no key."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _number(id: str) -> int:
    """k12 → 12; an id of another shape counts as 0."""
    return int(id[1:]) if id[:1] in "km" and id[1:].isdigit() else 0
