"""Service accounts and the endpoint that gives them tokens: who is recognised, what is refused, what is never kept."""

import base64
import stat
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI

from services.notify.settings import Settings
from services.token_endpoint import TOKEN_LIFE, TRIES_A_MINUTE, TokenEndpoint
from shared import accounts, keys
from shared.accounts import OF_PERSONS, AccountRefused
from shared.clock import MovableClock
from shared.errors import Refusal
from shared.keyfiles import KeyFileBroken
from shared.problems import refused
from shared.roles import Role

NOW = datetime(2016, 11, 7, 1, 0, tzinfo=UTC)
COUNTY = "610926000000"
GRANT = {"grant_type": "client_credentials"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Hashes that take no time; tests/e2e/test_sign_in.py has real ones."""
    monkeypatch.setattr(accounts, "_SCRYPT_N", 2)


@pytest.fixture
def home(tmp_path):
    MovableClock(tmp_path / "clock", NOW)
    return tmp_path


@pytest.fixture
def path(home):
    return home / "keys" / accounts.FILE


@pytest.fixture
def secret(path):
    return accounts.add(path, "backend", [Role.BACKEND], [COUNTY], now=NOW)


@pytest.fixture
def http(home):
    app = FastAPI()
    app.add_exception_handler(Refusal, refused)
    endpoint = TokenEndpoint(home, MovableClock(home / "clock"))
    app.add_api_route("/auth/v1/token", endpoint.answer, methods=["POST"], response_model=None)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://daohu")


def basic(name, secret):
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


async def ask(http, form=None, headers=None):
    return await http.post("/auth/v1/token", data=form, headers=headers)


class TestAccounts:
    def test_no_secret_is_in_the_file_and_only_its_owner_may_read_it(self, path, secret):
        assert len(secret) == 43
        assert secret not in path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_two_accounts_of_one_secret_could_not_be_told_by_their_hashes(self, path):
        for name in ("one", "two"):
            accounts.add(path, name, [Role.BACKEND], [COUNTY], now=NOW)
        one, two = accounts.listed(path).values()
        assert (one.salt == two.salt, one.digest == two.digest) == (False, False)

    @pytest.mark.parametrize("name", ["", "A", "x", "9x", "a" * 51, "a:b", "li for wang", "../x"])
    def test_an_id_is_a_plain_word(self, path, name):
        with pytest.raises(AccountRefused, match="small letters"):
            accounts.add(path, name, [Role.BACKEND], [COUNTY], now=NOW)
        assert not accounts.listed(path)

    def test_an_account_is_not_made_twice(self, path, secret):
        with pytest.raises(AccountRefused, match="already"):
            accounts.add(path, "backend", [Role.STATISTICS], [COUNTY], now=NOW)
        assert accounts.listed(path)["backend"].roles == (Role.BACKEND,)

    @pytest.mark.parametrize("role", sorted(OF_PERSONS))
    def test_no_program_does_what_different_people_must_do(self, path, role):
        with pytest.raises(AccountRefused, match="a person's, not a program's"):
            accounts.add(path, "two", [Role.BACKEND, role], [COUNTY], now=NOW)
        assert not accounts.listed(path)

    def test_there_are_so_many_and_no_more(self, path, monkeypatch):
        monkeypatch.setattr(accounts, "MAX_ACCOUNTS", 1)
        accounts.add(path, "one", [Role.BACKEND], [COUNTY], now=NOW)
        with pytest.raises(AccountRefused, match="the most"):
            accounts.add(path, "two", [Role.BACKEND], [COUNTY], now=NOW)
        assert list(accounts.listed(path)) == ["one"]

    def test_a_removed_account_is_gone_and_is_not_removed_twice(self, path, secret):
        accounts.remove(path, "backend")
        with pytest.raises(AccountRefused, match="no account"):
            accounts.remove(path, "backend")
        assert accounts.listed(path) == {}

    def test_a_broken_file_says_what_to_do(self, path, secret):
        path.write_text("{")
        with pytest.raises(KeyFileBroken, match="daohu accounts add"):
            accounts.listed(path)


class TestEndpoint:
    @pytest.mark.parametrize("way", ["form", "basic"])
    async def test_an_account_gets_a_token_that_counts_for_an_hour(self, home, http, secret, way):
        inside = {"client_id": "backend", "client_secret": secret}
        answer = await (
            ask(http, GRANT | inside) if way == "form" else ask(http, GRANT, headers=basic("backend", secret))
        )
        body = answer.json()
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
        clock = MovableClock(home / "clock")
        caller = keys.verifier(Settings(home=home), clock).verify(body["access_token"])
        assert (caller.subject, caller.client, caller.roles) == ("account:backend", "backend", {Role.BACKEND})
        clock.move_to(NOW + TOKEN_LIFE)
        with pytest.raises(Refusal, match="expired"):
            keys.verifier(Settings(home=home), clock).verify(body["access_token"])

    @pytest.mark.parametrize("name", ["backend", "nobody", "", "x" * 5000])
    async def test_a_wrong_secret_and_no_such_account_are_answered_alike(self, http, secret, name):
        answer = await ask(http, GRANT | {"client_id": name, "client_secret": "guess" + "é" * 500})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Basic"
        assert (answer.json()["code"], answer.json()["error"]) == ("invalid_client", "invalid_client")
        assert "guess" not in answer.text

    async def test_a_removed_account_gets_no_token(self, http, path, secret):
        accounts.remove(path, "backend")
        assert (await ask(http, GRANT, headers=basic("backend", secret))).status_code == 401

    @pytest.mark.parametrize("harm", ["broken", "exposed"])
    async def test_accounts_that_cannot_be_read_are_a_503_that_quotes_nothing(self, http, path, secret, harm):
        if harm == "broken":
            path.write_text('{"backend": "' + secret)
        else:
            path.chmod(0o644)
        answer = await ask(http, GRANT, headers=basic("backend", secret))
        assert (answer.status_code, answer.json()["retryable"], secret in answer.text) == (503, True, False)

    @pytest.mark.parametrize(
        ("form", "headers", "error"),
        [
            ({}, {}, "invalid_request"),
            ({"client_id": "backend"}, {}, "unsupported_grant_type"),
            ({"grant_type": "password", "client_id": "backend"}, {}, "unsupported_grant_type"),
            (GRANT | {"client_secret": "x"}, basic("backend", "x"), "invalid_request"),
            (GRANT, {"authorization": "Bearer x"}, "invalid_request"),
            (GRANT, {"authorization": "Basic !"}, "invalid_request"),
            (GRANT, {"authorization": "Basic " + base64.b64encode(b"\xff\xff").decode()}, "invalid_request"),
            (GRANT | {f"f{n}": "x" for n in range(10)}, {}, "invalid_request"),
            ({"grant_type": ["client_credentials", "client_credentials"]}, {}, "invalid_request"),
            (GRANT, {"content-type": "application/json"}, "invalid_request"),
        ],
    )
    async def test_what_is_no_request_for_a_token_is_refused_in_oauths_words(self, http, form, headers, error):
        answer = await ask(http, form, headers)
        assert (answer.status_code, answer.json()["error"], answer.json()["code"]) == (400, error, error)

    async def test_who_guesses_is_stopped_and_told_how_long_to_wait(self, http, secret):
        guess = GRANT | {"client_id": "backend", "client_secret": "guess"}
        answers = [await ask(http, guess) for _ in range(TRIES_A_MINUTE + 1)]
        assert {answer.status_code for answer in answers[:-1]} == {401}
        assert answers[-1].status_code == 429
        assert 0 < int(answers[-1].headers["retry-after"]) <= 60
        assert (await ask(http, GRANT, headers=basic("backend", secret))).status_code == 429
