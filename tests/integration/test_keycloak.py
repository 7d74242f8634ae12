"""docs/sign-in.md against a real Keycloak over TLS: who signs in, whose token does not count, rotation, absence, the end of an access."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import jwt
import pytest
import yaml

from demo.server import Server
from shared import oidc
from shared.roles import Role
from tests.integration.realm import API, BACK, PORTAL, PROGRAM, Realm
from tests.servers import until
from tests.servers.keycloak import DEPLOY, Keycloak

ROOT = Path(__file__).parents[2]
DAOHU = Path(sys.executable).with_name("daohu")
DIVISIONS = ROOT / "data" / "divisions" / "divisions-610926-pingli.csv"
COUNTY, TOWN, OTHER_TOWN, ELSEWHERE = "610926000000", "610926100000", "610926101000", "610927000000"
NOTICED_S, COMMAND_S = 5.0, 120
BEFORE, AFTER = 10, 30
"""Tokens asked for and tried before the realm's key is another, and of the new key."""


@dataclass(frozen=True, slots=True)
class County:
    """A running house that trusts the realm alone, and the environment its commands need."""

    realm: Realm
    server: Server
    env: dict[str, str]
    http: httpx.Client

    def get(self, path: str, token: str) -> httpx.Response:
        return self.http.get(path, headers={"authorization": f"Bearer {token}"})

    def outcome(self, token: str) -> str:
        """200, or the code it is refused with."""
        answer = self.get("/registry/v1/divisions", token)
        return "200" if answer.is_success else str(answer.json()["code"])

    def daohu(self, *words: str | Path, said: str = "", **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [DAOHU, *words], input=said, env={**os.environ, **self.env, **env},
            capture_output=True, text=True, timeout=COMMAND_S, check=False,
        )  # fmt: skip

    def keys_ages_s(self) -> dict[str, float]:
        """By service, as a scrape shows them."""
        text = self.http.get("/metrics").text
        shown = rf'^daohu_issuer_keys_age_seconds{{issuer="{re.escape(self.realm.issuer)}",service="(\w+)"}} (\S+)$'
        return {service: float(age) for service, age in re.findall(shown, text, re.MULTILINE)}


def described(realm: Realm) -> list[dict[str, Any]]:
    """issuers.yaml as docs/sign-in.md has it for Keycloak, at the address of this one."""
    page = (ROOT / "docs" / "sign-in.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```yaml\n# issuers.yaml\n(.*?)```", page, re.DOTALL)
    return [{**yaml.safe_load(block)[0], "issuer": realm.issuer}]


@pytest.fixture(scope="module")
def realm(keycloak: Keycloak) -> Realm:
    return Realm(keycloak)


@pytest.fixture(scope="module")
def county(realm: Realm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[County]:
    folder = tmp_path_factory.mktemp("county")
    (folder / "issuers.yaml").write_text(yaml.safe_dump(described(realm)))
    env = {
        "DAOHU_HOME": str(folder / "home"),
        "DAOHU_OIDC_ISSUERS": str(folder / "issuers.yaml"),
        "DAOHU_LOCAL_ISSUER": "false",
        "SSL_CERT_FILE": str(realm.keycloak.authority),
    }
    server = Server(folder / "home", None, env=env)
    server.start()
    try:
        with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as http:
            county = County(realm, server, env, http)
            realm.program(PROGRAM, Role.STATISTICS, division=COUNTY)
            entered = county.daohu(
                "import", "registry/divisions", DIVISIONS, DAOHU_SERVER=server.url, DAOHU_TOKEN=realm.program_token()
            )
            assert entered.returncode == 0, entered.stdout + entered.stderr
            yield county
    finally:
        server.stop()


def test_the_realm_of_the_example_has_every_role_there_is_and_no_secret() -> None:
    described = json.loads((DEPLOY / "realm.json").read_text(encoding="utf-8"))
    assert {role["name"] for role in described["roles"]["client"][API]} == set(Role)
    assert not re.search(r'"(secret|credentials|privateKey|password\w*|value)":', json.dumps(described))


def test_a_person_reads_the_register_of_his_area_and_of_no_other(county: County) -> None:
    county.realm.person("wang.town", Role.TOWN_OFFICE, division=TOWN)
    token = county.realm.sign_in("wang.town")["access_token"]
    listed = county.get("/registry/v1/divisions", token).json()["items"]
    assert len(listed) > 1
    assert all(division["code"].startswith(TOWN[:9]) for division in listed)
    asked = [county.get(f"/registry/v1/divisions/{code}", token).status_code for code in (TOWN, OTHER_TOWN)]
    assert asked == [200, 404]


def test_a_program_speaks_under_its_own_name(county: County) -> None:
    told = county.daohu("tokens", "check", said=county.realm.program_token())
    assert told.stdout.splitlines() == [
        f"subject service-account-{PROGRAM}",
        f"client {PROGRAM}",
        f"roles {Role.STATISTICS}",
        f"divisions {COUNTY}",
    ], told.stderr


@pytest.mark.parametrize(("kind", "code"), [("id_token", "token_audience"), ("refresh_token", "token_algorithm")])
def test_what_a_person_is_given_beside_his_access_token_does_not_count(county: County, kind: str, code: str) -> None:
    username = f"li.{kind.replace('_', '.')}"
    county.realm.person(username, Role.TOWN_OFFICE, division=TOWN)
    tokens = county.realm.sign_in(username)
    assert [county.outcome(tokens["access_token"]), county.outcome(tokens[kind])] == ["200", code]


def test_a_token_for_another_client_does_not_count_whatever_roles_its_account_has(county: County) -> None:
    county.realm.add_client("canteen")
    assert county.outcome(county.realm.program_token("canteen")) == "token_audience"
    county.realm.program("canteen", Role.STATISTICS, division=COUNTY)
    assert county.outcome(county.realm.program_token("canteen")) == "token_beyond_issuer"


def test_a_person_without_a_role_or_of_elsewhere_is_refused(county: County) -> None:
    county.realm.person("no.role", division=TOWN)
    county.realm.person("of.elsewhere", Role.TOWN_OFFICE, division=ELSEWHERE)
    outcomes = [county.outcome(county.realm.sign_in(name)["access_token"]) for name in ("no.role", "of.elsewhere")]
    assert outcomes == ["token_no_role", "token_beyond_issuer"]


def test_nobody_widens_his_own_area(county: County) -> None:
    user_id = county.realm.person("zhang.wider", Role.TOWN_OFFICE, division=TOWN)
    token = county.realm.sign_in("zhang.wider")["access_token"]
    account = f"/realms/{county.realm.name}/account/"
    headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
    shown = county.realm.keycloak.http.get(account, headers=headers).json()
    assert shown["attributes"]["divisions"] == [TOWN]
    changed = {**shown, "firstName": "Zhang", "attributes": {**shown["attributes"], "divisions": [COUNTY]}}
    said = county.realm.keycloak.http.post(account, headers=headers, json=changed)
    assert (said.is_success, county.realm.divisions_of(user_id)) == (False, [TOWN])


def test_without_pkce_the_portal_gets_no_code(county: County) -> None:
    with county.realm.keycloak.browser() as browser:
        answer = county.realm.ask_for_code(browser)
    assert answer.headers["location"].startswith(f"{BACK}?error=invalid_request")


def test_the_scope_of_the_page_makes_a_program_of_the_county(county: County) -> None:
    """The way by hand: a client scope of type None, given to the clients that are ours."""
    county.realm.add_scope("daohu")
    county.realm.add_client("daohu-second", scopes=("daohu",))
    county.realm.program("daohu-second", Role.BACKEND, division=TOWN)
    trusted = county.server.home.parent / "second.yaml"
    trusted.write_text(yaml.safe_dump([{**described(county.realm)[0], "only_clients": [PORTAL, "daohu-second"]}]))
    token = county.realm.program_token("daohu-second")
    told = county.daohu("tokens", "check", said=token, DAOHU_OIDC_ISSUERS=str(trusted))
    assert f"roles {Role.BACKEND}\ndivisions {TOWN}\n" in told.stdout, told.stderr


def test_a_provider_whose_authority_nobody_named_is_not_believed(county: County) -> None:
    told = county.daohu("tokens", "check", said=county.realm.program_token(), SSL_CERT_FILE="")
    assert (told.returncode, told.stdout) == (1, "")
    assert "issuer_away: The issuer of the token does not answer" in told.stderr


def test_the_realms_key_is_rotated_and_no_request_fails(county: County) -> None:
    """Keys are asked for at most every 5 s, so a rotation within 5 s after such a question would be seen that much later."""
    until(lambda: min(county.keys_ages_s().values()) > oidc.AGAIN_S, 30, "the keys were asked for a while ago")
    old, signers, outcomes = county.realm.program_token(), list[str](), list[str]()
    begun, given_up = threading.Event(), monotonic() + COMMAND_S

    def ask() -> None:
        while monotonic() < given_up and (len(set(signers)) < 2 or signers.count(signers[-1]) < AFTER):
            fresh = county.realm.program_token()
            signers.append(jwt.get_unverified_header(fresh)["kid"])
            outcomes.extend([county.outcome(fresh), county.outcome(old)])
            if len(signers) == BEFORE:
                begun.set()

    with ThreadPoolExecutor(1) as thread:
        asking = thread.submit(ask)
        assert begun.wait(COMMAND_S)
        county.realm.rotate()
        asking.result()
    assert (set(outcomes), len(set(signers))) == ({"200"}, 2)


def test_who_is_disabled_gets_no_new_token_and_the_last_one_ends_when_it_is_revoked(county: County) -> None:
    user_id = county.realm.person("chen.leaves", Role.TOWN_OFFICE, division=TOWN)
    tokens = county.realm.sign_in("chen.leaves")
    assert county.realm.refresh(tokens).is_success
    county.realm.disable(user_id)
    assert county.realm.refresh(tokens).json()["error"] == "invalid_grant"
    assert county.outcome(tokens["access_token"]) == "200"
    revoked = county.daohu("tokens", "revoke", "--subject", "chen.leaves")
    assert revoked.returncode == 0, revoked.stderr
    until(lambda: county.outcome(tokens["access_token"]) == "token_revoked", NOTICED_S, "the token ends")


def test_while_keycloak_stands_still_its_keys_count_and_the_doctor_names_it(county: County) -> None:
    never_seen = county.realm.program_token()
    assert set(county.keys_ages_s()) == {"registry", "funds", "assessment", "notify"}
    with county.realm.keycloak.paused():
        assert county.outcome(never_seen) == "200"
        found = json.loads(county.daohu("doctor", "--json").stdout)["findings"]
    assert [(each["of"], each["state"]) for each in found if each["check"] == "sign-in"] == [
        (county.realm.issuer, "FAIL")
    ]
