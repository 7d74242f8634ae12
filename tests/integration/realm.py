"""The realm of docs/sign-in.md in a Keycloak that runs: its people and programs, how they sign in, and what its administrator does."""

import base64
import hashlib
import html
import json
import re
import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from shared.roles import Role
from tests.servers.keycloak import DEPLOY, Keycloak

API, PORTAL, PROGRAM = "daohu-api", "daohu-portal", "daohu-program"
BACK = "https://daohu.pingli.example/signed-in"

Tokens = dict[str, Any]
"""What the provider's token address answers: access_token, refresh_token, id_token."""


class Realm:
    """deploy/keycloak/realm.json, imported."""

    def __init__(self, keycloak: Keycloak) -> None:
        described = json.loads((DEPLOY / "realm.json").read_text(encoding="utf-8"))
        self.keycloak, self.name = keycloak, described["realm"]
        keycloak.admin("POST", "", described)
        self.issuer = f"{keycloak.url}/realms/{self.name}"
        self._passwords: dict[str, str] = {}
        self._secrets: dict[str, str] = {}

    def person(self, username: str, *roles: Role, division: str) -> str:
        """A user with a password, as an administrator enters one; answers his id."""
        self._passwords[username] = secrets.token_urlsafe()
        user = {
            "username": username,
            "enabled": True,
            "attributes": {"divisions": [division]},
            "credentials": [{"type": "password", "value": self._passwords[username], "temporary": False}],
        }
        made = self._admin("POST", "/users", user)
        return self._give(made.headers["location"].rpartition("/")[2], roles)

    def program(self, client: str, *roles: Role, division: str) -> None:
        """Gives a client's service account roles and an area."""
        user = self._admin("GET", f"/clients/{self._id_of(client)}/service-account-user").json()
        self._admin("PUT", f"/users/{user['id']}", {**user, "attributes": {"divisions": [division]}})
        self._give(user["id"], roles)

    def add_client(self, client: str, *, scopes: tuple[str, ...] = ()) -> None:
        """A program as the console makes it, with the realm's default client scopes and these."""
        off = {"publicClient": False, "standardFlowEnabled": False, "serviceAccountsEnabled": True}
        self._admin("POST", "/clients", {"clientId": client, **off})
        ids = {scope["name"]: scope["id"] for scope in self._admin("GET", "/client-scopes").json()}
        for scope in scopes:
            self._admin("PUT", f"/clients/{self._id_of(client)}/default-client-scopes/{ids[scope]}")

    def add_scope(self, scope: str) -> None:
        """A client scope of type None with the mappers of the portal."""
        mappers = self._admin("GET", f"/clients/{self._id_of(PORTAL)}").json()["protocolMappers"]
        fresh = [{name: value for name, value in mapper.items() if name != "id"} for mapper in mappers]
        self._admin("POST", "/client-scopes", {"name": scope, "protocol": "openid-connect", "protocolMappers": fresh})

    def program_token(self, client: str = PROGRAM) -> str:
        """Client credentials (RFC 6749 4.4)."""
        if client not in self._secrets:
            self._secrets[client] = self._admin("GET", f"/clients/{self._id_of(client)}/client-secret").json()["value"]
        said = self.keycloak.token(
            self.name, grant_type="client_credentials", client_id=client, client_secret=self._secrets[client]
        )
        return str(said.json()["access_token"])

    def sign_in(self, username: str) -> Tokens:
        """As a browser does: authorization code with PKCE (RFC 7636), through the form for name and password."""
        verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(verifier.encode()).digest()
        with self.keycloak.browser() as browser:
            page = self.ask_for_code(browser, code_challenge=base64.urlsafe_b64encode(digest).decode().rstrip("="))
            form = re.search(r'<form[^>]*\baction="([^"]+)"', page.text)
            assert form, page.text
            entered = {"username": username, "password": self._passwords[username]}
            back = browser.post(html.unescape(form[1]), data=entered)
        assert back.status_code == httpx.codes.FOUND, back.text
        [code] = parse_qs(urlsplit(back.headers["location"]).query)["code"]
        said = self.keycloak.token(
            self.name,
            grant_type="authorization_code",
            client_id=PORTAL,
            redirect_uri=BACK,
            code=code,
            code_verifier=verifier,
        )
        assert said.is_success, said.text
        return dict(said.json())

    def ask_for_code(self, browser: httpx.Client, **challenge: str) -> httpx.Response:
        asked = {"client_id": PORTAL, "redirect_uri": BACK, "response_type": "code", "scope": "openid", **challenge}
        method = {"code_challenge_method": "S256"} if challenge else {}
        return browser.get(f"/realms/{self.name}/protocol/openid-connect/auth", params={**asked, **method})

    def refresh(self, tokens: Tokens) -> httpx.Response:
        form = {"grant_type": "refresh_token", "client_id": PORTAL, "refresh_token": tokens["refresh_token"]}
        return self.keycloak.token(self.name, **form)

    def disable(self, user_id: str) -> None:
        user = self._admin("GET", f"/users/{user_id}").json()
        self._admin("PUT", f"/users/{user_id}", {**user, "enabled": False})

    def divisions_of(self, user_id: str) -> list[str]:
        return list(self._admin("GET", f"/users/{user_id}").json()["attributes"]["divisions"])

    def rotate(self) -> None:
        """A new signing key; tokens are signed with it from now on, the old one stays shown."""
        config = {"priority": ["200"], "algorithm": ["RS256"], "keySize": ["2048"]}
        kind = {"providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider"}
        self._admin("POST", "/components", {"name": "rsa-new", **kind, "config": config})

    def _give(self, user_id: str, roles: tuple[Role, ...]) -> str:
        api = self._id_of(API)
        given = [self._admin("GET", f"/clients/{api}/roles/{role}").json() for role in roles]
        self._admin("POST", f"/users/{user_id}/role-mappings/clients/{api}", given)
        return user_id

    def _id_of(self, client: str) -> str:
        [found] = self._admin("GET", f"/clients?clientId={client}").json()
        return str(found["id"])

    def _admin(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self.keycloak.admin(method, f"/{self.name}{path}", body)
