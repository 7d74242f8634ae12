"""`POST /auth/v1/token` of the embedded mode: a service account gets a short token (OAuth 2.0 client credentials, RFC 6749 4.4)."""

import asyncio
import base64
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote_plus

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel

from shared import accounts, keys
from shared.clock import Clock
from shared.errors import Malformed, Refusal, TooMany, Unavailable
from shared.keyfiles import KeyFileBroken, KeyFileExposed
from shared.limits import Rate, address_of
from shared.observability import log
from shared.problems import RESPONSES, problem

PATH = "/auth/v1/token"
REASON = "a service account signs in with its secret; in the embedded mode only"
TOKEN_LIFE = timedelta(hours=1)
"""A program asks again before it ends."""
TRIES_A_MINUTE = 30
"""Of one address, right ones included: each costs 16 MiB and 40 ms, and a program needs one an hour."""
AT_ONCE = 2
"""Secrets looked at at the same time."""
MAX_FIELDS = 10
FORM = "application/x-www-form-urlencoded"
_TEXT = {"type": "string"}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Id and secret stand here or in HTTP Basic, not in both.",
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["client_credentials"]},
                        "client_id": _TEXT,
                        "client_secret": _TEXT,
                    },
                }
            }
        },
    }
}


class TokenOut(BaseModel):
    """What a sign-in is answered with (RFC 6749 5.1). `expires_in`: seconds."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the kind of token
    expires_in: int


class FormRefused(Malformed):
    """A form that is no request for a token: 400, as RFC 6749 5.2 asks."""

    status = 400

    def __init__(self, detail: str, error: str = "invalid_request") -> None:
        super().__init__(detail, error=error)
        self.code = error


class ClientUnknown(Refusal):
    """No such account, or not its secret: which of the two is not said."""

    status = 401
    code = "invalid_client"

    def __init__(self) -> None:
        super().__init__(
            "The account or its secret is wrong. `daohu accounts list` shows the accounts.", error=self.code
        )


class TokenEndpoint:
    """Gives tokens to the accounts of a home."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self._home, self._clock = home, clock
        self._tries = Rate(TRIES_A_MINUTE / 60, TRIES_A_MINUTE)
        self._turn = asyncio.Semaphore(AT_ONCE)

    def add_to(self, app: FastAPI) -> None:
        app.add_api_route(
            PATH,
            self.answer,
            methods=["POST"],
            tags=["sign-in"],
            response_model=None,
            responses={200: {"model": TokenOut}, **RESPONSES},
            openapi_extra=_BODY,
        )

    async def answer(self, request: Request) -> Response:
        """A token for a service account (服务账号换取令牌)."""
        if wait := self._tries.take(address_of(request.scope), 1, time.monotonic()):
            raise TooMany("Too many sign-ins from your address. Wait as Retry-After says.", wait)
        name, secret = await _credentials(request)
        try:
            account = accounts.listed(self._home / "keys" / accounts.FILE).get(name)
            issuer = keys.issuer(self._home)
        except (KeyFileBroken, KeyFileExposed, OSError) as error:
            log("sign-in").error("accounts_unreadable", reason=str(error))
            raise Unavailable("The accounts cannot be read here; the log says why.") from None
        async with self._turn:
            known = await asyncio.to_thread(accounts.recognise, account, secret)
        if not known or account is None:
            log("sign-in").warning("account_refused", account=name if account else "unknown")
            answer = problem(ClientUnknown())
            answer.headers["www-authenticate"] = "Basic"
            return answer
        token = issuer.token(
            accounts.PREFIX + name,
            account.roles,
            account.divisions,
            client=name,
            lifetime=TOKEN_LIFE,
            now=self._clock.now(),
        )
        log("sign-in").info("token_issued", account=name, roles=[str(role) for role in account.roles])
        body = TokenOut(access_token=token, expires_in=int(TOKEN_LIFE.total_seconds()))
        return Response(body.model_dump_json(), media_type="application/json", headers={"cache-control": "no-store"})


async def _credentials(request: Request) -> tuple[str, str]:
    """Id and secret, by HTTP Basic or in the form, not both (RFC 6749 2.3.1). Raises FormRefused."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise FormRefused(f"Send a form: Content-Type: {FORM}")
    try:
        pairs = parse_qsl((await request.body()).decode(), max_num_fields=MAX_FIELDS, keep_blank_values=True)
    except ValueError:
        raise FormRefused("The form cannot be read.") from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise FormRefused("Send each field once.")
    if form.get("grant_type") != "client_credentials":
        raise FormRefused("Send grant_type=client_credentials.", "unsupported_grant_type")
    kind, _, sent = request.headers.get("authorization", "").partition(" ")
    if not kind:
        return form.get("client_id", ""), form.get("client_secret", "")
    if kind.lower() != "basic" or "client_secret" in form:
        raise FormRefused("Send the secret once: by HTTP Basic or in the form.")
    try:
        name, _, secret = base64.b64decode(sent, validate=True).decode().partition(":")
    except ValueError:
        raise FormRefused("What follows `Basic` cannot be read.") from None
    return unquote_plus(name), unquote_plus(secret)
