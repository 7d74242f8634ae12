"""Who calls: bearer tokens (JWT) from trusted issuers, verified once and remembered until they expire, are revoked or lose their key.

A token carries subject, client, roles and divisions. Issuers: the local one (shared/issuer.py) and OpenID providers
(shared/oidc.py). Nothing here logs a token. Source: architecture.md 5; speed.md (sign-in); RFC 8725 (JWT best practices).
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Protocol, TypeGuard

import jwt
from jwt.types import Options
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.clock import Clock
from shared.errors import Refusal, Unauthenticated, Unavailable
from shared.observability import NUMBERS
from shared.roles import Caller, Role, is_subject
from shared.scope import Area, is_division

AUDIENCE = "daohu"
MAX_TOKEN_BYTES = 8_192
MAX_DIVISIONS = 100
MAX_NAME = 100
MAX_REMEMBERED = 10_000
"""Verified tokens kept in memory; the oldest goes first."""
SKEW = timedelta(seconds=60)
"""How far an issuer's clock may be ahead of ours. An expired token gets no grace."""
LONGEST = timedelta(hours=24)
"""No issuer's tokens may last longer, whatever its own limit; so long a revocation is kept."""
LOOK_S = 1.0
"""How often it is looked whether keys or revocations have changed; in between a token that is remembered counts."""
TYPES = ("jwt", "at+jwt", "application/at+jwt")
"""`typ` of an access token (RFC 9068), for issuers that give one."""
NOT_ACCESS = ("ID", "Refresh", "Offline", "Logout")
"""Keycloak's `typ` claim of tokens that are no access tokens."""
NAMES_OF_OURS = frozenset({"system", "anybody"})
"""What stands on record for jobs and public routes (shared/work.py); no token may speak under it."""

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
    """An issuer whose tokens count: its name (`iss`), for whom, by which algorithms, how long, and its public keys."""

    name: str
    audience: str
    algorithms: tuple[str, ...]
    longest: timedelta

    @property
    def away(self) -> bool:
        """Whether its keys cannot be had, so that its tokens can neither be accepted nor refused."""
        ...

    @property
    def keys_age_s(self) -> float | None:
        """Since it last showed its keys, in seconds; infinite when it never did, None where they are a file."""
        ...

    def key(self, kid: str, algorithm: str) -> Any:
        """The public key of this id that fits the algorithm, or None when the issuer has none."""
        ...

    def changed(self) -> bool:
        """Whether its keys are others than when this was last asked. It does not wait."""
        ...

    async def renew(self) -> bool:
        """Asks for its keys again, because of a key that is not among them; whether they are others now."""
        ...

    def said(self, claims: dict[str, Any]) -> dict[str, Any]:
        """Its claims under our names: sub, client, roles, divisions. Raises TokenRefused for what it may not say."""
        ...


class Revoked(Protocol):
    def covers(self, subject: str, token_id: str, issued: datetime) -> bool: ...

    def changed(self) -> bool: ...


class NothingRevoked:
    """For who keeps no list."""

    def covers(self, subject: str, token_id: str, issued: datetime) -> bool:
        return False

    def changed(self) -> bool:
        return False


class UnknownKey(TokenRefused):
    """Signed by a key that the issuer is not known to have: it may be a new one."""

    def __init__(self, issuer: TrustedIssuer) -> None:
        super().__init__("token_forged", "The token is signed by a key that the issuer does not have.")
        self.issuer = issuer


class IssuerAway(Unavailable):
    """An issuer's keys are not known here and it does not answer."""

    code = "issuer_away"

    def __init__(self) -> None:
        super().__init__("The issuer of the token does not answer, so it cannot be checked. Repeat later.")


class Verifier:
    """Turns a token into a Caller, or says why not (TokenRefused, IssuerAway).

    Codes: token_malformed, token_algorithm, token_kind, token_issuer, token_forged, token_audience, token_expired,
    token_not_yet_valid, token_too_long, token_revoked, token_subject, token_beyond_issuer, token_no_role, token_unknown_role,
    token_no_division, token_bad_division; 503 issuer_away.
    """

    def __init__(
        self,
        issuers: Sequence[TrustedIssuer],
        *,
        clock: Clock,
        revoked: Revoked | None = None,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._issuers = {issuer.name: issuer for issuer in issuers}
        assert len(self._issuers) == len(issuers), "one issuer of a name"
        self._clock, self._max_remembered = clock, max_remembered
        self._revoked: Revoked = revoked or NothingRevoked()
        self._remembered: dict[str, tuple[Caller, datetime]] = {}
        self._look_at = 0.0

    async def caller(self, token: str) -> Caller:
        """The caller a token speaks for. Waits only for keys that are not known yet. Raises TokenRefused, IssuerAway."""
        try:
            return self.verify(token)
        except UnknownKey as unknown:
            if not await unknown.issuer.renew():
                if unknown.issuer.away:
                    raise IssuerAway from None
                raise
        self.look()
        return self.verify(token)

    def attend(self) -> None:
        """Looks, when it was not done within LOOK_S. Every request does, a question after the health too: keys stay fresh."""
        if monotonic() >= self._look_at:
            self.look()

    def look(self) -> None:
        """Forgets all tokens when an issuer's keys or what is revoked has changed."""
        self._look_at = monotonic() + LOOK_S
        changed = [self._revoked.changed(), *(issuer.changed() for issuer in self._issuers.values())]  # each is asked
        if any(changed):
            self.forget()

    def keys_ages_s(self) -> dict[str, float]:
        """How old the keys are of each issuer that is asked for them, in seconds."""
        ages = {name: issuer.keys_age_s for name, issuer in self._issuers.items()}
        return {name: age for name, age in ages.items() if age is not None}

    def verify(self, token: str) -> Caller:
        """The caller a token speaks for, by what is known now. Raises TokenRefused."""
        now = self._clock.now()
        if (known := self._remembered.get(token)) is not None:
            caller, expires = known
            if now < expires:
                return caller
            del self._remembered[token]
        issuer, claims = self._claims(token)
        issued, expires = _instant(claims["iat"]), _instant(claims["exp"])
        if now >= expires:
            raise TokenRefused("token_expired", "The token has expired. Sign in again.")
        if max(issued, _instant(claims.get("nbf", 0))) > now + SKEW:
            raise TokenRefused("token_not_yet_valid", "The token is not valid yet. Check the issuer's clock.")
        if expires - issued > issuer.longest:
            raise TokenRefused("token_too_long", "The token lasts longer than its issuer's tokens may here.")
        caller, token_id = _caller(issuer.said(claims)), claims["jti"]
        if not 0 < len(token_id) <= MAX_NAME:
            raise TokenRefused("token_malformed", f"A token's id has 1 to {MAX_NAME} characters.")
        if self._revoked.covers(caller.subject, token_id, issued):
            raise TokenRefused("token_revoked", "The token was revoked. Sign in again.")
        while len(self._remembered) >= self._max_remembered:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[token] = (caller, expires)
        return caller

    def forget(self) -> None:
        """Each token is verified anew."""
        self._remembered.clear()

    def _claims(self, token: str) -> tuple[TrustedIssuer, dict[str, Any]]:
        """The issuer of a token and its claims, when kind, signature, issuer and audience are right."""
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
        algorithm = header.get("alg")
        if algorithm not in issuer.algorithms:
            raise TokenRefused("token_algorithm", "The token's algorithm is not the issuer's.")
        if str(header.get("typ") or TYPES[0]).lower() not in TYPES:
            raise TokenRefused("token_kind", "This is no access token. Send the access token.")
        key = issuer.key(str(header.get("kid")), algorithm)
        if key is None:
            raise UnknownKey(issuer)
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=issuer.audience,
                issuer=issuer.name,
                options=_OPTIONS,
            )
        except jwt.InvalidSignatureError:
            raise TokenRefused("token_forged", "The token's signature is wrong.") from None
        except jwt.InvalidAudienceError:
            raise TokenRefused("token_audience", "The token was issued for another system.") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise TokenRefused("token_malformed", "The token lacks a claim or holds one of a wrong kind.") from None
        if "at_hash" in claims or claims.get("typ") in NOT_ACCESS:
            raise TokenRefused("token_kind", "This is no access token. Send the access token, not the ID token.")
        return issuer, claims


def _instant(seconds: Any) -> datetime:
    try:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise TokenRefused("token_malformed", "The token's times are not numbers of seconds.") from None


def _caller(claims: dict[str, Any]) -> Caller:
    subject, client = claims["sub"], claims.get("client")
    if not (_is_name(subject) and _is_name(client)):
        raise TokenRefused("token_malformed", f"Subject and client are texts of 1 to {MAX_NAME} printable characters.")
    if {subject.casefold(), client} & NAMES_OF_OURS or not is_subject(subject) or NUMBERS.search(f"{subject} {client}"):
        raise TokenRefused(
            "token_subject",
            "The subject is a name of the system's own, holds a personal number, or has another spelling: map another claim.",
        )
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


def _is_name(text: Any) -> TypeGuard[str]:
    return isinstance(text, str) and 0 < len(text) <= MAX_NAME and text.isprintable()


class TokenMiddleware:
    """Puts the Caller into `request.state.caller`; without one, `request.state.token_problem` says why (pure ASGI).

    It refuses nothing itself: the gate of the route does, so that public routes stay public whatever is sent to them.
    """

    def __init__(self, app: ASGIApp, verifier: Verifier) -> None:
        self.app, self.verifier = app, verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            state = scope.setdefault("state", {})
            self.verifier.attend()
            try:
                state["caller"] = await self.verifier.caller(_bearer(scope["headers"]))
            except Refusal as refused:
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
