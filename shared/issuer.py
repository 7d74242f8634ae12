"""The local issuer (本地签发): tokens signed with a key of the deployment's own; a key that was replaced counts until its last token has expired.

`issuer.pem` is the private key. `issuer.pub` holds public ones in PEM: the present one first, then each earlier one under a
line `until: <instant>` (RFC 7468 allows text before a block, so a reader that wants one key gets the present one).
"""

import hashlib
import re
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared import keyfiles
from shared.auth import AUDIENCE, SKEW
from shared.clock import Clock
from shared.ids import new_id
from shared.keyfiles import KeyFileBroken
from shared.observability import log
from shared.roles import Role
from shared.scope import is_division

LOCAL_ISSUER = "daohu-local"
PRIVATE, PUBLIC = "issuer.pem", "issuer.pub"

MAX_LIFE = timedelta(hours=12)
"""A token of the local issuer lasts at most a working day."""
MOVED_LIFE = timedelta(days=1000)
"""Where the clock is moved by hand (demo, tests, soak), months pass in minutes: a person would sign in every second."""

_BLOCK = re.compile(rb"(?:until: (\S+)\s+)?(-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----)", re.DOTALL)


def longest_life(home: Path) -> timedelta:
    """How long a local token may last: by whether the clock of this home is one that is moved."""
    return MOVED_LIFE if (home / "clock").exists() else MAX_LIFE


class LocalIssuer:
    """Issues tokens with an Ed25519 key; the key file is made on first use (0600)."""

    def __init__(self, key_path: Path, *, name: str = LOCAL_ISSUER) -> None:
        private = serialization.load_pem_private_key(keyfiles.secret(key_path, new_private_key), password=None)
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyFileBroken(f"{key_path} holds no Ed25519 private key")
        self.name, self._private, self.public = name, private, private.public_key()
        self.kid = kid_of(self.public)

    def token(
        self,
        subject: str,
        roles: Collection[Role],
        divisions: Collection[str],
        *,
        client: str,
        lifetime: timedelta,
        now: datetime,
    ) -> str:
        """A token for a person or machine. `divisions`: 12-digit codes; `now`: the deployment's clock, in UTC.

        Raises ValueError for what a verifier would refuse: no role, no division, a malformed division.
        """
        if not roles or not divisions or not all(map(is_division, divisions)):
            raise ValueError("a token needs a role and a division; divisions are 12-digit codes, e.g. 610926000000")
        claims = {
            "iss": self.name,
            "aud": AUDIENCE,
            "sub": subject,
            "client": client,
            "roles": sorted(map(str, roles)),
            "divisions": sorted(divisions),
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "jti": str(new_id()),
        }
        return jwt.encode(claims, self._private, algorithm="EdDSA", headers={"kid": self.kid})


class LocalKeys:
    """The local issuer as those know it who only check its tokens: by its public keys, read anew when the file is another.

    Raises KeyFileBroken when there is none to begin with; later a file that cannot be read changes nothing.
    """

    algorithms: tuple[str, ...] = ("EdDSA",)
    audience = AUDIENCE
    away = False
    keys_age_s = None

    def __init__(self, path: Path, *, clock: Clock, longest: timedelta = MAX_LIFE, name: str = LOCAL_ISSUER) -> None:
        self.name, self.longest, self._path, self._clock = name, longest, path, clock
        self._read_at = keyfiles.mark(path)
        self._ring = {kid_of(key): (key, until) for key, until in read_ring(path)}

    def key(self, kid: str, _: str) -> Any:
        key, until = self._ring.get(kid, (None, None))
        return key if until is None or self._clock.now() < until else None

    def changed(self) -> bool:
        if (mark := keyfiles.mark(self._path)) == self._read_at:
            return False
        self._read_at = mark
        try:
            ring = read_ring(self._path)
        except (OSError, KeyFileBroken) as error:
            log("sign-in").error("issuer_keys_unreadable", error=type(error).__name__)
            return False
        self._ring = {kid_of(key): (key, until) for key, until in ring}
        return True

    async def renew(self) -> bool:
        return self.changed()

    def said(self, claims: dict[str, Any]) -> dict[str, Any]:
        return claims


def publish(folder: Path) -> None:
    """Puts the public half of the private key beside it, when something else or nothing lies there."""
    with keyfiles.alone(folder):
        private, public = LocalIssuer(folder / PRIVATE), folder / PUBLIC
        if not public.exists() or kid_of(read_ring(public)[0][0]) != private.kid:
            keyfiles.public(public, _ring_text([(private.public, None)]))


def rotate(folder: Path, now: datetime, *, life: timedelta, at_once: bool = False) -> str:
    """A new key from now on; answers its id. Earlier ones count until the last token they may have signed has expired.

    `at_once` drops the earlier ones, as for a stolen key: everybody signs in again.
    """
    with keyfiles.alone(folder):
        present, path = LocalIssuer(folder / PRIVATE), folder / PUBLIC
        fresh = new_private_key()
        new = serialization.load_pem_private_key(fresh, password=None).public_key()
        assert isinstance(new, Ed25519PublicKey)
        earlier = [(present.public, now + life + SKEW)]
        earlier += [(key, until) for key, until in (read_ring(path) if path.exists() else []) if until and now < until]
        # Known to all before anything is signed with it. Should it end here, the old key goes on signing and is not lost.
        keyfiles.public(path, _ring_text([(new, None), *([] if at_once else earlier)]))
        keyfiles.rewrite(folder / PRIVATE, fresh)
        return kid_of(new)


def read_ring(path: Path) -> list[tuple[Ed25519PublicKey, datetime | None]]:
    """The public keys of a file and until when each counts, the present one first. Raises OSError, KeyFileBroken."""
    ring: list[tuple[Ed25519PublicKey, datetime | None]] = []
    try:
        for until, block in _BLOCK.findall(path.read_bytes()):
            key = serialization.load_pem_public_key(block)
            if not isinstance(key, Ed25519PublicKey):
                raise ValueError
            ring.append((key, datetime.fromisoformat(until.decode()) if until else None))
    except ValueError:
        ring = []
    if not ring:
        raise KeyFileBroken(f"{path} holds no Ed25519 public key; run: daohu keys init")
    return ring


def kid_of(public: Ed25519PublicKey) -> str:
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def new_private_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _ring_text(ring: Collection[tuple[Ed25519PublicKey, datetime | None]]) -> bytes:
    encoding, kind = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return b"".join(
        (f"until: {until.isoformat()}\n".encode() if until else b"") + key.public_bytes(encoding, kind)
        for key, until in ring
    )
