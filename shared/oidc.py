"""OpenID providers (统一身份认证): a county's own sign-in. Their keys are fetched beside the requests and kept while a provider is away.

`DAOHU_OIDC_ISSUERS` names a YAML file with a list of them (docs/sign-in.md). Only the configured address is asked: `jku`, `x5u` and
`jwk` of a token are never looked at. Sources: OpenID Connect Discovery 1.0 (4), RFC 7517, RFC 8725, RFC 9068.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Literal

import httpx
import jwt
import orjson
import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from shared import accounts
from shared.auth import LONGEST, TokenRefused
from shared.keyfiles import KeyFileBroken
from shared.observability import log
from shared.roles import Role
from shared.scope import Area, is_division

REFRESH_S = 300.0
"""How old keys may be before they are fetched again, beside the requests."""
AGAIN_S = 5.0
"""The least time between two fetches, whatever keys tokens name and however often it fails."""
LAST_GOOD_S = 12 * 3600.0
"""How long the keys of a provider that is away count. Then its tokens are answered 503."""
FETCH_S = 5.0
MAX_DOCUMENT_BYTES = 256 << 10
MAX_KEYS = 50
MAX_KEY_ID = 200
MAX_ISSUERS = 20
RSA_BITS = range(2048, 8193)

LOOPBACK = ("127.0.0.1", "localhost", "::1")

FITS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""Algorithm → the kind and curve of key it works with (RFC 7518, RFC 8037). Nothing symmetric is among them."""

PUBLIC_PARTS = ("kty", "crv", "n", "e", "x", "y")

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
KeySet = dict[tuple[str, str], dict[str, str]]
"""(key id, algorithm) → the public parts of the key."""


def _secure(url: str) -> str:
    """An address whose answer can be believed: https, or this machine. Raises ValueError."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError("this is no address") from None
    if parsed.userinfo:
        raise ValueError("an address of a provider holds no user and no password")
    if not (parsed.scheme == "https" and parsed.host) and not (parsed.scheme == "http" and parsed.host in LOOPBACK):
        raise ValueError("an address of a provider begins with https://")
    return url


def _path(given: Any) -> Any:
    return (given,) if isinstance(given, str) else given


def _division(code: str) -> str:
    if not is_division(code):
        raise ValueError("divisions are 12-digit codes")
    return code


Address = Annotated[str, BeforeValidator(_secure)]
Claim = Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_path)]
"""Where a claim lies: its name, or the list of names that leads to it."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Claims(_Strict):
    """The names under which a provider says what a token must say."""

    subject: Claim = ("sub",)
    client: Claim = ("azp",)
    roles: Claim = ("roles",)
    divisions: Claim = ("divisions",)


class Issuer(_Strict):
    """One provider, as its county describes it."""

    issuer: Address
    audience: str = Field(min_length=1)
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "PS256", "ES256", "EdDSA"), min_length=1)
    jwks_uri: Address | None = Field(default=None, description="where its keys are; else its discovery document says")
    claims: Claims = Claims()
    role_prefix: str = Field(default="", description="roles without it are another system's and are not looked at")
    subject_prefix: str = Field(default="", description="before subject and client; tells two providers' people apart")
    max_hours: float = Field(default=12, gt=0, le=LONGEST / timedelta(hours=1), description="longest life of a token")
    only_roles: tuple[Role, ...] | None = Field(
        default=None, description="roles this provider may give; all when absent"
    )
    only_clients: tuple[str, ...] | None = Field(
        default=None, description="clients whose tokens count, as the provider names them; all when absent"
    )
    only_divisions: tuple[Annotated[str, BeforeValidator(_division)], ...] | None = Field(
        default=None, description="the areas this provider may give; all when absent"
    )


def issuers_at(path: Path) -> list[Issuer]:
    """The providers of a file. Raises KeyFileBroken, which names the first thing that is wrong."""
    try:
        listed = TypeAdapter(list[Issuer]).validate_python(yaml.safe_load(path.read_bytes()))
    except OSError as error:
        raise KeyFileBroken(f"{path}: {error.strerror}") from None
    except yaml.YAMLError:
        raise KeyFileBroken(f"{path} is no YAML") from None
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        raise KeyFileBroken(f"{path}: {'.'.join(map(str, wrong['loc'])) or 'list'}: {wrong['msg']}") from None
    if not 0 < len(listed) <= MAX_ISSUERS:
        raise KeyFileBroken(f"{path}: name 1 to {MAX_ISSUERS} issuers")
    for what in ("issuer", "subject_prefix"):
        if len({getattr(one, what).casefold() for one in listed}) < len(listed):
            raise KeyFileBroken(f"{path}: two issuers have the same {what}; whose people are whose would be unclear")
    return listed


def providers_of(listed: Sequence[Issuer]) -> list["Provider"]:
    """Each knows which names are another's: a name belongs to the provider with the longest prefix it begins with."""
    prefixes = [one.subject_prefix for one in listed]
    return [Provider(one, not_its=[prefix for prefix in prefixes if prefix != one.subject_prefix]) for one in listed]


class Provider:
    """A provider as the verifier trusts it (TrustedIssuer). `tick` measures waiting, in seconds.

    `not_its`: the subject prefixes of the other providers.
    """

    def __init__(self, config: Issuer, *, not_its: Sequence[str] = (), tick: Callable[[], float] = monotonic) -> None:
        self.name, self.audience = config.issuer, config.audience
        self.algorithms: tuple[str, ...] = config.algorithms
        self.longest = timedelta(hours=config.max_hours)
        _tls()
        self._config, self._tick = config, tick
        own = config.subject_prefix.casefold()
        longer = (prefix.casefold() for prefix in not_its)
        self._not_its = (accounts.PREFIX, *(prefix for prefix in longer if len(prefix) > len(own)))
        self._area = Area.of(config.only_divisions) if config.only_divisions else None
        self._published: KeySet = {}
        self._keys: dict[tuple[str, str], jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = -float("inf")
        self._fetching: asyncio.Task[None] | None = None
        self._changed = False

    @property
    def away(self) -> bool:
        return self.keys_age_s > LAST_GOOD_S

    @property
    def keys_age_s(self) -> float:
        return self._tick() - self._fetched_at

    def key(self, kid: str, algorithm: str) -> Any:
        return None if self.away else self._keys.get((kid, algorithm))

    def changed(self) -> bool:
        """Also begins to fetch them when they are old; needs a running event loop then."""
        if self._keys and self.away:
            self._take({})
            log("sign-in").error("issuer_keys_too_old", issuer=self.name)
        if self.keys_age_s > REFRESH_S and self._may_ask:
            self._begin()
        changed, self._changed = self._changed, False
        return changed

    async def renew(self) -> bool:
        before = self._keys
        if self._fetching is None and not self._may_ask:
            return False
        await asyncio.shield(self._fetching or self._begin())
        return self._keys is not before

    def said(self, claims: dict[str, Any]) -> dict[str, Any]:
        config, names = self._config, self._config.claims
        subject, client = _at(claims, names.subject), _at(claims, names.client)
        roles, divisions = _at(claims, names.roles), _at(claims, names.divisions)
        if config.only_clients is not None and client not in config.only_clients:
            raise TokenRefused(
                "token_beyond_issuer", "The token was given to a program whose tokens do not count here."
            )
        if isinstance(roles, list) and config.role_prefix:
            ours = [role for role in roles if isinstance(role, str) and role.startswith(config.role_prefix)]
            roles = [role.removeprefix(config.role_prefix) for role in ours]
        if config.only_roles is not None and isinstance(roles, list) and any(r not in config.only_roles for r in roles):
            raise TokenRefused("token_beyond_issuer", "The token carries a role that its issuer may not give.")
        if self._area is not None and isinstance(divisions, list):
            good = [code for code in divisions if isinstance(code, str) and is_division(code)]
            if not all(map(self._area.covers, good)):
                raise TokenRefused("token_beyond_issuer", "The token carries a division that its issuer may not give.")
        return {"sub": self._own(subject), "client": self._own(client), "roles": roles, "divisions": divisions}

    def _own(self, name: Any) -> Any:
        """The name as it stands on record. Raises TokenRefused when it is somebody else's there."""
        if not isinstance(name, str) or not name:
            return name
        on_record = f"{self._config.subject_prefix}{name}"
        if on_record.casefold().startswith(self._not_its):
            raise TokenRefused("token_subject", "The name begins as those of another issuer do: map another claim.")
        return on_record

    @property
    def _may_ask(self) -> bool:
        return self._fetching is None and self._tick() - self._tried_at >= AGAIN_S

    def _begin(self) -> asyncio.Task[None]:
        self._tried_at = self._tick()
        self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            published = await published_by(self._config)
        except (httpx.HTTPError, OSError, ValueError) as error:
            log("sign-in").warning("issuer_away", issuer=self.name, error=type(error).__name__)
        else:
            self._fetched_at = self._tick()
            if published != self._published:
                self._take(published)
                log("sign-in").info("issuer_keys", issuer=self.name, keys=len(self._keys))
        finally:
            self._fetching = None

    def _take(self, published: KeySet) -> None:
        self._published, self._changed = published, True
        self._keys = {of: jwt.PyJWK(parts, algorithm=of[1]) for of, parts in published.items()}


async def published_by(config: Issuer) -> KeySet:
    """The keys that a provider shows now. Raises httpx.HTTPError, OSError, ValueError."""
    async with (
        asyncio.timeout(FETCH_S),
        httpx.AsyncClient(timeout=FETCH_S, follow_redirects=False, verify=_tls()) as client,
    ):
        address = config.jwks_uri
        if address is None:
            about = await _read(client, f"{config.issuer.rstrip('/')}/.well-known/openid-configuration")
            if about.get("issuer") != config.issuer:
                raise ValueError("the discovery document is another issuer's")
            address = _secure(str(about.get("jwks_uri")))
        return key_set(await _read(client, address), config.algorithms)


def key_set(document: dict[str, Any], algorithms: tuple[str, ...]) -> KeySet:
    """The keys of a JWK set that may sign, by each algorithm they fit. What is of no use is left out. Raises ValueError."""
    listed = document.get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise ValueError(f"a key set has a list of at most {MAX_KEYS} keys")
    found: KeySet = {}
    for jwk in listed:
        if not (isinstance(jwk, dict) and isinstance(kid := jwk.get("kid"), str) and 0 < len(kid) <= MAX_KEY_ID):
            continue
        operations = jwk.get("key_ops", ["verify"])
        if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
            continue
        parts = {name: jwk[name] for name in PUBLIC_PARTS if isinstance(jwk.get(name), str)}
        for algorithm in algorithms:
            fits = FITS[algorithm] == (parts.get("kty"), parts.get("crv")) and jwk.get("alg", algorithm) == algorithm
            if fits and _is_sound(parts, algorithm):
                found.setdefault((kid, algorithm), parts)
    return found


def _is_sound(parts: dict[str, str], algorithm: str) -> bool:
    try:
        key = jwt.PyJWK(parts, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return False
    return not isinstance(key, RSAPublicKey) or key.key_size in RSA_BITS


@cache
def _tls() -> ssl.SSLContext:
    """Made once: it reads every authority there is. SSL_CERT_FILE names a county's own."""
    return httpx.create_ssl_context()


async def _read(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """A JSON object of at most MAX_DOCUMENT_BYTES. Raises ValueError, httpx.HTTPError."""
    headers = {"accept": "application/json", "accept-encoding": "identity"}  # packed, it could unpack to anything
    async with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code != 200 or "content-encoding" in answer.headers:
            raise ValueError("not a plain answer 200")
        body = bytearray()
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > MAX_DOCUMENT_BYTES:
                raise ValueError("the document is too large")
    document = orjson.loads(body)
    if not isinstance(document, dict):
        raise ValueError("the document is no object")
    return document


def _at(claims: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        claims = claims.get(name) if isinstance(claims, dict) else None
    return claims
