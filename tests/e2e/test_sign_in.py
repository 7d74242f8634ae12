"""Sign-in from outside: a program signs in with its secret, and whoever is revoked is refused by the process that is running."""

from pathlib import Path

import httpx
from conftest import House, daohu, issue_at

from demo.driver import Who
from shared import keys
from shared.auth import SKEW
from shared.clock import MovableClock
from shared.roles import Role
from tests.servers import until

COUNTY = "610926000000"
SECONDS = 5.0
"""`within seconds`: a process looks once a second."""
CLERK = Who("clerk", (Role.STATISTICS,), (COUNTY,))


def asked(house: House, token: str) -> int:
    """What a service answers the holder of this token: 200, or 401 when it does not count."""
    answer = httpx.get(f"{house.server.url}/registry/v1/divisions", headers={"authorization": f"Bearer {token}"})
    return answer.status_code


def made(home: Path, *words: str) -> str:
    """What a command says; it ends well."""
    answer = daohu(*words, "--home", str(home))
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def test_a_program_signs_in_with_its_secret_until_its_account_is_removed(house: House) -> None:
    secret = made(house.home, "accounts", "add", "app-one", "--role", "statistics", "--division", COUNTY)
    form = {"grant_type": "client_credentials", "client_id": "app-one", "client_secret": secret}
    answer = httpx.post(f"{house.server.url}/auth/v1/token", data=form)
    token = answer.json()["access_token"]
    assert asked(house, token) == 200
    made(house.home, "accounts", "remove", "app-one")
    until(lambda: asked(house, token) == 401, SECONDS, "the removed account's token is refused")
    assert httpx.post(f"{house.server.url}/auth/v1/token", data=form).status_code == 401


def test_a_running_process_refuses_what_was_revoked(house: House) -> None:
    token = issue_at(house.home)(CLERK)
    assert asked(house, token) == 200
    made(house.home, "tokens", "revoke", "--all-before", "now")
    until(lambda: asked(house, token) == 401, SECONDS, "the revoked token is refused")
    MovableClock(house.home / "clock").move_to(house.now + 2 * SKEW)
    assert asked(house, issue_at(house.home)(CLERK)) == 200


def test_a_running_process_takes_the_new_key_and_the_old_ones_tokens(house: House) -> None:
    old = issue_at(house.home)(CLERK)
    assert asked(house, old) == 200
    keys.rotate_issuer(house.home, house.now)
    assert [asked(house, old), asked(house, issue_at(house.home)(CLERK))] == [200, 200]
    keys.rotate_issuer(house.home, house.now, at_once=True)
    until(lambda: asked(house, old) == 401, SECONDS, "the token of the stolen key is refused")
    assert asked(house, issue_at(house.home)(CLERK)) == 200
