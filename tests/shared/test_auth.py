"""shared.auth: tokens are issued, verified, remembered and refused; the middleware tells the gate who calls."""

import base64
import json
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from shared.auth import AUDIENCE, MAX_TOKEN_BYTES, SKEW, LocalIssuer, TokenMiddleware, TokenRefused, Verifier
from shared.clock import MovableClock
from shared.roles import Role

NOW = datetime(2016, 11, 7, 1, 0, tzinfo=UTC)
COUNTY, TOWN, VILLAGE = "610926000000", "610926100000", "610926100224"
HOUR = timedelta(hours=1)


@pytest.fixture
def clock(tmp_path):
    return MovableClock(tmp_path / "clock", NOW)


@pytest.fixture
def issuer(tmp_path):
    return LocalIssuer(tmp_path / "keys" / "issuer.pem")


@pytest.fixture
def verifier(issuer, clock):
    return Verifier([issuer], clock=clock)


def good(issuer, **changes):
    return issuer.token(
        **{
            "subject": "li",
            "roles": [Role.PAYER],
            "divisions": [COUNTY],
            "client": "web",
            "lifetime": HOUR,
            "now": NOW,
            **changes,
        }
    )


def signed(issuer, **changes):
    """A token with the issuer's own signature and any claims; a claim given as None is left out."""
    claims = {
        "iss": issuer.name,
        "aud": AUDIENCE,
        "sub": "li",
        "client": "web",
        "roles": ["payer"],
        "divisions": [COUNTY],
        "iat": int(NOW.timestamp()),
        "exp": int((NOW + HOUR).timestamp()),
        "jti": "1",
    } | changes
    return jwt.encode(
        {k: v for k, v in claims.items() if v is not None},
        issuer._private,
        algorithm="EdDSA",
        headers={"kid": issuer.kid},
    )


def refusal(verifier, token):
    """The code it is refused with; None when it counts."""
    try:
        verifier.verify(token)
    except TokenRefused as error:
        refused = error
    else:
        return None
    assert refused.status == 401
    assert token[:20] not in refused.detail or not token
    return refused.code


class TestVerify:
    def test_a_token_becomes_its_caller(self, issuer, verifier):
        caller = verifier.verify(good(issuer, roles=[Role.PAYER, Role.AUDITOR], divisions=[TOWN, VILLAGE]))
        assert (caller.subject, caller.client) == ("li", "web")
        assert caller.roles == {Role.PAYER, Role.AUDITOR}
        assert caller.area.prefixes == ("610926100",)
        assert set(caller.divisions) == {TOWN, VILLAGE}

    def test_the_key_file_is_the_owners_only_and_stays_the_same(self, issuer, clock, tmp_path):
        path = tmp_path / "keys" / "issuer.pem"
        assert path.stat().st_mode & 0o777 == 0o600
        assert Verifier([LocalIssuer(path)], clock=clock).verify(good(issuer)).subject == "li"

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "a.b", "é", "x" * (MAX_TOKEN_BYTES + 1)])
    def test_what_is_no_token_is_malformed(self, verifier, token):
        assert refusal(verifier, token) == "token_malformed"

    def test_a_token_of_another_key_is_forged(self, verifier, tmp_path):
        assert refusal(verifier, good(LocalIssuer(tmp_path / "other.pem"))) == "token_forged"

    def test_a_token_that_only_claims_the_right_key_is_forged(self, issuer, verifier):
        other = Ed25519PrivateKey.generate()
        token = jwt.encode({"iss": issuer.name}, other, algorithm="EdDSA", headers={"kid": issuer.kid})
        assert refusal(verifier, token) == "token_forged"

    def test_changed_claims_are_forged(self, issuer, verifier):
        head, body, signature = good(issuer).split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=="))
        claims["roles"] = ["county_admin"]
        changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        assert refusal(verifier, f"{head}.{changed}.{signature}") == "token_forged"

    def test_an_unknown_issuer_is_refused(self, issuer, verifier):
        assert refusal(verifier, signed(issuer, iss="elsewhere")) == "token_issuer"

    def test_a_token_without_a_signature_is_refused(self, issuer, verifier):
        token = jwt.encode({"iss": issuer.name}, None, algorithm="none", headers={"kid": issuer.kid})
        assert refusal(verifier, token) == "token_algorithm"

    def test_the_public_key_is_no_shared_secret(self, issuer, verifier):
        raw = issuer.key(issuer.kid).public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        token = jwt.encode({"iss": issuer.name}, raw, algorithm="HS256", headers={"kid": issuer.kid})
        assert refusal(verifier, token) == "token_algorithm"

    def test_a_token_for_another_audience_is_refused(self, issuer, verifier):
        assert refusal(verifier, signed(issuer, aud="elsewhere")) == "token_audience"

    @pytest.mark.parametrize("claim", ["sub", "iat", "exp", "jti", "client"])
    def test_a_missing_claim_is_malformed(self, issuer, verifier, claim):
        assert refusal(verifier, signed(issuer, **{claim: None})) == "token_malformed"

    @pytest.mark.parametrize(
        "changes",
        [{"sub": ""}, {"sub": 5}, {"sub": "x" * 101}, {"exp": "soon"}, {"exp": 1e300}, {"iat": True}, {"client": 5}],
    )
    def test_a_claim_of_a_wrong_kind_is_malformed(self, issuer, verifier, changes):
        assert refusal(verifier, signed(issuer, **changes)) == "token_malformed"

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"roles": None}, "token_no_role"),
            ({"roles": []}, "token_no_role"),
            ({"roles": "payer"}, "token_no_role"),
            ({"roles": ["payer", "emperor"]}, "token_unknown_role"),
            ({"roles": [["payer"]]}, "token_unknown_role"),
            ({"divisions": None}, "token_no_division"),
            ({"divisions": []}, "token_no_division"),
            ({"divisions": COUNTY}, "token_no_division"),
            ({"divisions": ["610926"]}, "token_bad_division"),
            ({"divisions": ["000000000000"]}, "token_bad_division"),
            ({"divisions": [COUNTY, ""]}, "token_bad_division"),
            ({"divisions": [610926000000]}, "token_bad_division"),
            ({"divisions": [COUNTY] * 101}, "token_bad_division"),
        ],
    )
    def test_without_right_roles_and_divisions_nobody_comes_in(self, issuer, verifier, changes, code):
        assert refusal(verifier, signed(issuer, **changes)) == code

    @pytest.mark.parametrize("changes", [{"roles": []}, {"divisions": []}, {"divisions": ["610926"]}])
    def test_the_issuer_does_not_issue_what_would_be_refused(self, issuer, changes):
        with pytest.raises(ValueError, match="12-digit"):
            good(issuer, **changes)


class TestTime:
    def test_a_token_is_good_until_its_last_second_and_not_at_its_expiry(self, issuer, verifier, clock):
        token = good(issuer)
        clock.move_to(NOW + HOUR - timedelta(seconds=1))
        assert verifier.verify(token)
        clock.move_to(NOW + HOUR)
        assert refusal(verifier, token) == "token_expired"

    def test_a_token_seen_for_the_first_time_after_its_expiry_is_refused(self, issuer, verifier, clock):
        clock.move_to(NOW + 2 * HOUR)
        assert refusal(verifier, good(issuer)) == "token_expired"

    def test_an_issuer_a_little_ahead_is_tolerated_and_no_more(self, issuer, verifier):
        assert verifier.verify(good(issuer, now=NOW + SKEW))
        assert refusal(verifier, good(issuer, now=NOW + SKEW + timedelta(seconds=1))) == "token_not_yet_valid"

    def test_not_before_is_kept(self, issuer, verifier):
        assert refusal(verifier, signed(issuer, nbf=int((NOW + HOUR / 2).timestamp()))) == "token_not_yet_valid"


class TestMemory:
    def test_a_remembered_token_gives_the_same_caller(self, issuer, verifier):
        token = good(issuer)
        assert verifier.verify(token) is verifier.verify(token)

    def test_memory_is_bounded_and_the_oldest_goes_first(self, issuer, clock):
        verifier = Verifier([issuer], clock=clock, max_remembered=2)
        first, second, third = (good(issuer, subject=name) for name in ("a", "b", "c"))
        caller = verifier.verify(first)
        kept = verifier.verify(second)
        verifier.verify(third)
        assert len(verifier._remembered) == 2
        assert verifier.verify(second) is kept
        assert verifier.verify(first) is not caller

    def test_after_forgetting_a_token_of_a_revoked_key_counts_no_more(self, issuer, clock):
        class Revocable:
            name, algorithms, revoked = issuer.name, issuer.algorithms, False

            def key(self, kid):
                return None if self.revoked else issuer.key(kid)

        trusted, token = Revocable(), good(issuer)
        verifier = Verifier([trusted], clock=clock)
        caller = verifier.verify(token)
        trusted.revoked = True
        assert verifier.verify(token) is caller
        verifier.forget()
        assert refusal(verifier, token) == "token_forged"

    def test_a_refused_token_is_not_remembered(self, issuer, verifier):
        refusal(verifier, signed(issuer, roles=[]))
        assert not verifier._remembered


class TestMiddleware:
    @pytest.fixture
    def client(self, verifier):
        async def who(request: Request) -> JSONResponse:
            caller, problem = getattr(request.state, "caller", None), getattr(request.state, "token_problem", None)
            return JSONResponse({"subject": caller and caller.subject, "problem": problem and problem.code})

        app = TokenMiddleware(Starlette(routes=[Route("/", who)]), verifier)
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://daohu")

    async def test_the_route_learns_who_calls(self, client, issuer):
        answer = (await client.get("/", headers={"authorization": f"Bearer {good(issuer)}"})).json()
        assert answer == {"subject": "li", "problem": None}

    async def test_the_word_bearer_has_no_case(self, client, issuer):
        answer = (await client.get("/", headers={"authorization": f"bearer {good(issuer)}"})).json()
        assert answer["subject"] == "li"

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ([], "token_missing"),
            ([("authorization", "Basic eDp5")], "token_malformed"),
            ([("authorization", "Bearer")], "token_malformed"),
            ([("authorization", "Bearer a.b.c"), ("authorization", "Bearer a.b.c")], "token_malformed"),
        ],
    )
    async def test_without_a_good_token_the_route_learns_why(self, client, headers, code):
        assert (await client.get("/", headers=headers)).json() == {"subject": None, "problem": code}
