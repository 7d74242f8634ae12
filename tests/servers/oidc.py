"""An OpenID provider that runs: discovery, a key set, tokens of RS256, ES256 and EdDSA keys; it rotates, lies, and goes away."""

import json
import threading
from collections import Counter
from datetime import datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "daohu-api"
DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """One a run: making it takes most of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def new_key(algorithm: str) -> Any:
    if algorithm == "RS256":
        return rsa_key()
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else ec.generate_private_key(ec.SECP256R1())


def jwk(private: Any, algorithm: str, kid: str) -> dict[str, Any]:
    """The public half as a provider shows it."""
    kind: Any = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}[algorithm]
    return {**kind.to_jwk(private.public_key(), as_dict=True), "kid": kid, "alg": algorithm, "use": "sig"}


class OpenIdProvider:
    """Listens on this machine. `documents`: what it answers by path; `asked`: how often each was asked."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/realms/daohu"
        self.begin_anew()

    def begin_anew(self) -> None:
        """No key, and nobody has asked for anything."""
        self.asked: Counter[str] = Counter()
        self.documents: dict[str, bytes] = {}
        self.status = 200
        self._private: dict[str, tuple[Any, str]] = {}
        self.put(DISCOVERY, {"issuer": self.url, "jwks_uri": self.url + KEYS})

    def put(self, path: str, document: Any) -> None:
        self.documents["/realms/daohu" + path] = json.dumps(document).encode()

    def add(self, kid: str, algorithm: str, private: Any = None, changes: dict[str, Any] | None = None) -> Any:
        """A key of this id, shown from now on, with `changes` to what is shown; answers the private one."""
        private = private or new_key(algorithm)
        self._private[kid] = private, algorithm
        shown = [*self.shown(), {**jwk(private, algorithm, kid), **(changes or {})}]
        self.put(KEYS, {"keys": shown})
        return private

    def drop(self, kid: str) -> None:
        """No longer shown; tokens can still be signed with it, as whoever has it would."""
        self.put(KEYS, {"keys": [key for key in self.shown() if key["kid"] != kid]})

    def shown(self) -> list[dict[str, Any]]:
        document = self.documents.get("/realms/daohu" + KEYS)
        return list(json.loads(document)["keys"]) if document else []

    def token(self, kid: str, now: datetime, *, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """An access token as Keycloak shapes it; a claim given as None is left out."""
        private, algorithm = self._private[kid]
        claims = {
            "iss": self.url,
            "aud": [AUDIENCE, "account"],
            "sub": "li",
            "azp": "county-web",
            "typ": "Bearer",
            "realm_access": {"roles": ["payer"]},
            "divisions": ["610926000000"],
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(minutes=5)).timestamp()),
            "jti": f"{kid}-1",
        } | changes
        given = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(given, private, algorithm=algorithm, headers={"kid": kid, **(headers or {})})

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked[self.path.removeprefix("/realms/daohu")] += 1
                document = provider.documents.get(self.path)
                self.send_response(provider.status if document is not None else 404)
                self.send_header("content-length", str(len(document or b"")))
                self.end_headers()
                self.wfile.write(document or b"")

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
