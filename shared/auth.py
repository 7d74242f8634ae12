"""Who calls: bearer tokens (JWT, EdDSA) from trusted issuers, verified once and remembered until they expire.

A token carries subject, client, roles and divisions. The embedded mode has its own issuer; another kind of issuer (OIDC keys
from JWKS) is another TrustedIssuer. Nothing here logs a token. Source: architecture.md 5; speed.md (sign-in).
"""

import hashlib
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt.types import Options
from starlette.types import ASGIApp, Receive, Scope, Send

from shared import keyfiles
from shared.clock import Clock
from shared.errors import Unauthenticated
from shared.ids import new_id
from shared.roles import Caller, Role
from shared.scope import Area, is_division

AUDIENCE = "daohu"
LOCAL_ISSUER = "daohu-local"
MAX_TOKEN_BYTES = 8_192
MAX_DIVISIONS = 100
MAX_NAME = 100
MAX_REMEMBERED = 10_000
"""Verified tokens kept in memory; the oldest goes first."""
SKEW = timedelta(seconds=60)
"""How far an issuer's clock may be ahead of ours. An expired token gets no grace."""

_OPTIONS: Options = {
    "require": ["iss", "aud", "sub", "iat", "exp", "jti"],
    "verify_exp": False,  # judged by our own clock below
    "verify_iat": False,
    "verify_nbf": False,
}


class TokenRefused(Unauthenticated):
    """A token that does not count. `code` says why; the detail never repeats any of it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class TrustedIssuer(Protocol):
    """An issuer whose tokens count: its name (`iss`), the algorithms it may use, and its public keys."""

    name: str
    algorithms: tuple[str, ...]

    def key(self, kid: str) -> Any:
        """The public key of this id, or None when the issuer has none."""
        ...


class IssuerKey:
    """The local issuer as it is known to who only checks its tokens: by its public key."""

    algorithms: tuple[str, ...] = ("EdDSA",)

    def __init__(self, public: Ed25519PublicKey, *, name: str = LOCAL_ISSUER) -> None:
        self.name, self._public = name, public
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.kid = hashlib.sha256(raw).hexdigest()[:16]

    @classmethod
    def at(cls, path: Path) -> "IssuerKey":
        """From a PEM file. Raises OSError, ValueError."""
        public = serialization.load_pem_public_key(path.read_bytes())
        if not isinstance(public, Ed25519PublicKey):
            raise ValueError(f"{path} holds no Ed25519 public key")
        return cls(public)

    def key(self, kid: str) -> Any:
        return self._public if kid == self.kid else None

    def pem(self) -> bytes:
        """The public key."""
        return self._public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class LocalIssuer(IssuerKey):
    """Issues tokens with an Ed25519 key of the deployment's own; the key file is made on first use (0600)."""

    def __init__(self, key_path: Path, *, name: str = LOCAL_ISSUER) -> None:
        private = serialization.load_pem_private_key(keyfiles.secret(key_path, _new_private_key), password=None)
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError(f"{key_path} holds no Ed25519 private key")
        super().__init__(private.public_key(), name=name)
        self._private = private

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


def _new_private_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Verifier:
    """Turns a token into a Caller, or says why not (TokenRefused).

    Codes: token_malformed, token_algorithm, token_issuer, token_forged, token_audience, token_expired, token_not_yet_valid,
    token_no_role, token_unknown_role, token_no_division, token_bad_division.
    """

    def __init__(
        self,
        issuers: Sequence[TrustedIssuer],
        *,
        clock: Clock,
        audience: str = AUDIENCE,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._issuers = {issuer.name: issuer for issuer in issuers}
        self._audience, self._clock, self._max_remembered = audience, clock, max_remembered
        self._remembered: dict[str, tuple[Caller, datetime]] = {}

    def verify(self, token: str) -> Caller:
        """The caller a token speaks for. Raises TokenRefused."""
        now = self._clock.now()
        if (known := self._remembered.get(token)) is not None:
            caller, expires = known
            if now < expires:
                return caller
            del self._remembered[token]
        claims = self._claims(token)
        expires = _instant(claims["exp"])
        if now >= expires:
            raise TokenRefused("token_expired", "The token has expired. Sign in again.")
        if max(_instant(claims["iat"]), _instant(claims.get("nbf", 0))) > now + SKEW:
            raise TokenRefused("token_not_yet_valid", "The token is not valid yet. Check the issuer's clock.")
        caller = _caller(claims)
        while len(self._remembered) >= self._max_remembered:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[token] = (caller, expires)
        return caller

    def forget(self) -> None:
        """Each token is verified anew: call it when an issuer's key was revoked or replaced."""
        self._remembered.clear()

    def _claims(self, token: str) -> dict[str, Any]:
        """The claims of a token whose signature, issuer and audience are right."""
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenRefused("token_malformed", f"A token has at most {MAX_TOKEN_BYTES} bytes.")
        try:
            unsafe = jwt.decode_complete(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError):
            raise TokenRefused("token_malformed", "This is not a token. Send: Authorization: Bearer <token>") from None
        header, name = unsafe["header"], unsafe["payload"].get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise TokenRefused("token_issuer", "The token comes from an issuer that is not trusted here.")
        if header.get("alg") not in issuer.algorithms:
            raise TokenRefused("token_algorithm", "The token's algorithm is not the issuer's.")
        key = issuer.key(str(header.get("kid")))
        if key is None:
            raise TokenRefused("token_forged", "The token is signed by a key that the issuer does not have.")
        try:
            return jwt.decode(
                token,
                key,
                algorithms=list(issuer.algorithms),
                audience=self._audience,
                issuer=issuer.name,
                options=_OPTIONS,
            )
        except jwt.InvalidSignatureError:
            raise TokenRefused("token_forged", "The token's signature is wrong.") from None
        except jwt.InvalidAudienceError:
            raise TokenRefused("token_audience", "The token was issued for another system.") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise TokenRefused("token_malformed", "The token lacks a claim or holds one of a wrong kind.") from None


def _instant(seconds: Any) -> datetime:
    try:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise TokenRefused("token_malformed", "The token's times are not numbers of seconds.") from None


def _caller(claims: dict[str, Any]) -> Caller:
    subject, client = claims["sub"], claims.get("client", "")
    if not (isinstance(client, str) and 0 < len(subject) <= MAX_NAME and 0 < len(client) <= MAX_NAME):
        raise TokenRefused("token_malformed", f"Subject and client are texts of 1 to {MAX_NAME} characters.")
    roles, divisions = claims.get("roles"), claims.get("divisions")
    if not roles or not isinstance(roles, list):
        raise TokenRefused("token_no_role", "The token carries no role. Ask the county administrator for one.")
    known = set(Role)
    if any(not isinstance(role, str) or role not in known for role in roles):
        raise TokenRefused("token_unknown_role", "The token carries a role that does not exist.")
    if not divisions or not isinstance(divisions, list):
        raise TokenRefused("token_no_division", "The token carries no division. Ask the county administrator for one.")
    if len(divisions) > MAX_DIVISIONS or any(not isinstance(code, str) or not is_division(code) for code in divisions):
        raise TokenRefused("token_bad_division", f"Divisions are at most {MAX_DIVISIONS} codes of 12 digits.")
    return Caller(subject, client, frozenset(map(Role, roles)), tuple(divisions), Area.of(divisions))


class TokenMiddleware:
    """Puts the Caller into `request.state.caller`; without one, `request.state.token_problem` says why (pure ASGI).

    It refuses nothing itself: the gate of the route does, so that public routes stay public whatever is sent to them.
    """

    def __init__(self, app: ASGIApp, verifier: Verifier) -> None:
        self.app, self.verifier = app, verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            state = scope.setdefault("state", {})
            try:
                state["caller"] = self.verifier.verify(_bearer(scope["headers"]))
            except TokenRefused as refused:
                state["token_problem"] = refused
        await self.app(scope, receive, send)


def _bearer(headers: Collection[tuple[bytes, bytes]]) -> str:
    sent = [value for name, value in headers if name == b"authorization"]
    if not sent:
        raise TokenRefused("token_missing", "Send a token: Authorization: Bearer <token>")
    kind, _, token = sent[0].decode("latin-1").partition(" ")
    if len(sent) > 1 or kind.lower() != "bearer" or not token:
        raise TokenRefused("token_malformed", "Send one token: Authorization: Bearer <token>")
    return token.strip()
