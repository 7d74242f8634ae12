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

from shared import auth, revocation
from shared import issuer as local
from shared.auth import AUDIENCE, LONGEST, MAX_TOKEN_BYTES, SKEW, TokenMiddleware, TokenRefused, Verifier
from shared.clock import MovableClock
from shared.issuer import MAX_LIFE, LocalIssuer, LocalKeys
from shared.keyfiles import KeyFileBroken
from shared.revocation import Revocations, TooManyRevoked
from shared.roles import Role

NOW = datetime(2016, 11, 7, 1, 0, tzinfo=UTC)
COUNTY, TOWN, VILLAGE = "610926000000", "610926100000", "610926100224"
HOUR = timedelta(hours=1)


@pytest.fixture
def clock(tmp_path):
    return MovableClock(tmp_path / "clock", NOW)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "keys"


@pytest.fixture
def issuer(folder):
    local.publish(folder)
    return LocalIssuer(folder / local.PRIVATE)


@pytest.fixture
def revoked(folder):
    return folder / revocation.FILE


def verifier_at(folder, clock, **given):
    """A verifier as every process has one: it sees the key folder, and looks for changes whenever it is asked."""
    keys = LocalKeys(folder / local.PUBLIC, clock=clock)
    return Verifier([keys], clock=clock, revoked=Revocations(folder / revocation.FILE), **given)


@pytest.fixture
def verifier(issuer, folder, clock):
    return verifier_at(folder, clock)


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


def signed(issuer, headers=None, **changes):
    """A token with the issuer's own signature and any claims and headers; a claim given as None is left out."""
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
        headers={"kid": issuer.kid, **(headers or {})},
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
        local.publish(path.parent)
        assert LocalIssuer(path).kid == issuer.kid
        assert verifier_at(path.parent, clock).verify(good(issuer)).subject == "li"

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
        raw = issuer.public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        token = jwt.encode({"iss": issuer.name}, raw, algorithm="HS256", headers={"kid": issuer.kid})
        assert refusal(verifier, token) == "token_algorithm"

    def test_a_token_for_another_audience_is_refused(self, issuer, verifier):
        assert refusal(verifier, signed(issuer, aud="elsewhere")) == "token_audience"

    @pytest.mark.parametrize("claim", ["sub", "iat", "exp", "jti", "client"])
    def test_a_missing_claim_is_malformed(self, issuer, verifier, claim):
        assert refusal(verifier, signed(issuer, **{claim: None})) == "token_malformed"

    @pytest.mark.parametrize(
        "changes",
        [
            {"sub": ""},
            {"sub": 5},
            {"sub": "x" * 101},
            {"sub": "a\nb"},
            {"sub": "\ud800"},
            {"exp": "soon"},
            {"exp": 1e300},
            {"iat": True},
            {"client": 5},
            {"client": "\0"},
        ],
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

    def test_memory_is_bounded_and_the_oldest_goes_first(self, issuer, folder, clock):
        verifier = verifier_at(folder, clock, max_remembered=2)
        first, second, third = (good(issuer, subject=name) for name in ("a", "b", "c"))
        caller = verifier.verify(first)
        kept = verifier.verify(second)
        verifier.verify(third)
        assert len(verifier._remembered) == 2
        assert verifier.verify(second) is kept
        assert verifier.verify(first) is not caller

    def test_a_refused_token_is_not_remembered(self, issuer, verifier):
        refusal(verifier, signed(issuer, roles=[]))
        assert not verifier._remembered


class TestKind:
    @pytest.mark.parametrize(
        ("claims", "headers"),
        [
            ({"at_hash": "x"}, {}),
            ({"typ": "ID"}, {}),
            ({"typ": "Refresh"}, {}),
            ({}, {"typ": "logout+jwt"}),
            ({}, {"typ": ["JWT"]}),
        ],
    )
    def test_what_is_no_access_token_is_refused(self, issuer, verifier, claims, headers):
        assert refusal(verifier, signed(issuer, headers, **claims)) == "token_kind"

    def test_what_asks_for_an_extension_is_refused(self, issuer, verifier):
        assert refusal(verifier, signed(issuer, {"crit": ["exp"], "exp": 1})) == "token_malformed"

    def test_an_access_token_may_say_that_it_is_one(self, issuer, verifier):
        assert verifier.verify(signed(issuer, {"typ": "at+jwt"})).subject == "li"

    @pytest.mark.parametrize("claim", [{"jti": 5}, {"jti": ""}])
    def test_a_token_that_could_not_be_revoked_is_malformed(self, issuer, verifier, claim):
        assert refusal(verifier, signed(issuer, **claim)) == "token_malformed"

    @pytest.mark.parametrize(
        "subject",
        [
            "system",
            "anybody",
            "wang for li",
            "13800138000",
            "city/+8613800138000",
            "61092619700101123X",
            "13800138000@sso.example",
            "System",
            " li",
            "li ",
            "zhang  li",
            "ｌｉ",
            "x for",
            "for li",
        ],
    )
    def test_a_subject_is_no_name_of_ours_and_no_personal_number(self, issuer, verifier, subject):
        assert refusal(verifier, signed(issuer, sub=subject)) == "token_subject"

    def test_digits_within_an_id_are_no_personal_number(self, issuer, verifier):
        subject = "9f13800138000a-13800138000-6109261970010112"
        assert verifier.verify(signed(issuer, sub=subject)).subject == subject


class TestLife:
    def test_a_local_token_lasts_a_working_day_at_most(self, issuer, verifier):
        assert verifier.verify(good(issuer, lifetime=MAX_LIFE))
        assert refusal(verifier, good(issuer, lifetime=MAX_LIFE + timedelta(seconds=1))) == "token_too_long"


class TestKeyRotation:
    async def test_a_running_verifier_takes_tokens_of_the_new_key_at_once(self, issuer, verifier, folder):
        await verifier.caller(good(issuer))
        local.rotate(folder, NOW, life=MAX_LIFE)
        fresh = LocalIssuer(folder / local.PRIVATE)
        assert fresh.kid != issuer.kid
        assert (await verifier.caller(good(fresh, subject="wang"))).subject == "wang"

    async def test_the_old_keys_tokens_count_until_the_last_of_them_has_expired(self, issuer, verifier, folder, clock):
        local.rotate(folder, NOW, life=MAX_LIFE)
        last = good(issuer, lifetime=MAX_LIFE)
        clock.move_to(NOW + MAX_LIFE - timedelta(seconds=1))
        assert await verifier.caller(last)
        clock.move_to(NOW + MAX_LIFE + SKEW)
        assert refusal(verifier_at(folder, clock), good(issuer, now=clock.now())) == "token_forged"

    async def test_two_rotations_leave_all_three_keys(self, issuer, folder, clock):
        issuers = [issuer]
        for _ in range(2):
            local.rotate(folder, NOW, life=MAX_LIFE)
            issuers.append(LocalIssuer(folder / local.PRIVATE))
        verifier = verifier_at(folder, clock)
        assert len({verifier.verify(good(one)).subject for one in issuers}) == 1
        assert len(local.read_ring(folder / local.PUBLIC)) == len({one.kid for one in issuers}) == 3

    async def test_keys_whose_time_is_over_leave_the_file(self, issuer, folder):
        local.rotate(folder, NOW, life=MAX_LIFE)
        local.rotate(folder, NOW + 3 * MAX_LIFE, life=MAX_LIFE)
        assert len(local.read_ring(folder / local.PUBLIC)) == 2

    async def test_a_stolen_keys_tokens_count_no_more_although_they_were_remembered(self, issuer, verifier, folder):
        stolen = good(issuer)
        assert await verifier.caller(stolen)
        local.rotate(folder, NOW, life=MAX_LIFE, at_once=True)
        verifier.look()
        with pytest.raises(TokenRefused) as refused:
            await verifier.caller(stolen)
        assert refused.value.code == "token_forged"

    async def test_a_rotation_empties_the_memory(self, issuer, verifier, folder):
        token = good(issuer)
        caller = await verifier.caller(token)
        local.rotate(folder, NOW, life=MAX_LIFE)
        verifier.look()
        assert await verifier.caller(token) is not caller

    def test_a_rotation_that_ended_half_way_is_taken_up_again(self, issuer, folder, clock):
        """The public keys were written, the private one was not replaced: nobody holds the new one."""
        own = (folder / local.PRIVATE).read_bytes()
        local.rotate(folder, NOW, life=MAX_LIFE)
        (folder / local.PRIVATE).write_bytes(own)
        assert verifier_at(folder, clock).verify(good(issuer))
        local.rotate(folder, NOW, life=MAX_LIFE)
        verifier = verifier_at(folder, clock)
        assert verifier.verify(good(issuer))
        assert verifier.verify(good(LocalIssuer(folder / local.PRIVATE)))

    async def test_a_broken_key_file_changes_nothing_while_running_and_stops_a_start(
        self, issuer, verifier, folder, clock
    ):
        (folder / local.PUBLIC).write_text("no key")
        verifier.look()
        assert await verifier.caller(good(issuer))
        with pytest.raises(KeyFileBroken, match="daohu keys init"):
            verifier_at(folder, clock)


class TestRevocation:
    async def test_a_revoked_subjects_tokens_end_although_they_were_remembered(self, issuer, verifier, revoked):
        token, other = good(issuer), good(issuer, subject="wang")
        await verifier.caller(token)
        revocation.revoke_subject(revoked, "li", now=NOW)
        verifier.look()
        assert refusal(verifier, token) == "token_revoked"
        assert verifier.verify(other).subject == "wang"

    async def test_whoever_asks_a_second_later_is_told(self, issuer, verifier, revoked, monkeypatch):
        monkeypatch.setattr(auth, "LOOK_S", 0.0)
        token = good(issuer)
        await verifier.caller(token)
        revocation.revoke_subject(revoked, "li", now=NOW)
        verifier.attend()
        assert refusal(verifier, token) == "token_revoked"

    def test_a_token_issued_after_the_revocation_counts(self, issuer, verifier, revoked, clock):
        revocation.revoke_subject(revoked, "li", now=NOW)
        verifier.look()
        assert refusal(verifier, good(issuer, now=NOW + SKEW)) == "token_revoked"
        clock.move_to(NOW + SKEW + timedelta(seconds=1))
        assert verifier.verify(good(issuer, now=clock.now()))

    @pytest.mark.parametrize(("named", "subject"), [("Li", "li"), ("li", "LI")])
    def test_a_person_is_revoked_in_whatever_case_his_name_comes(self, issuer, verifier, revoked, named, subject):
        revocation.revoke_subject(revoked, named, now=NOW)
        verifier.look()
        assert refusal(verifier, good(issuer, subject=subject)) == "token_revoked"

    def test_one_token_is_revoked_by_its_id(self, issuer, verifier, revoked):
        revocation.revoke_token(revoked, "1", now=NOW)
        verifier.look()
        assert refusal(verifier, signed(issuer, jti="1")) == "token_revoked"
        assert verifier.verify(signed(issuer, jti="2"))

    def test_all_tokens_before_an_instant_are_revoked(self, issuer, verifier, revoked, clock):
        revocation.revoke_all(revoked, NOW, now=NOW)
        verifier.look()
        assert refusal(verifier, good(issuer)) == "token_revoked"
        assert verifier.verify(good(issuer, now=NOW + timedelta(seconds=1)))

    def test_a_second_revocation_does_not_shorten_the_first(self, issuer, verifier, revoked):
        revocation.revoke_all(revoked, NOW, now=NOW)
        revocation.revoke_all(revoked, NOW - HOUR, now=NOW)
        verifier.look()
        assert refusal(verifier, good(issuer)) == "token_revoked"

    def test_an_entry_stays_as_long_as_any_token_it_speaks_of(self, revoked):
        revocation.revoke_subject(revoked, "li", now=NOW)
        assert "subject:li" in revocation.listed(revoked, NOW + LONGEST + SKEW)
        assert not revocation.listed(revoked, NOW + LONGEST + 2 * SKEW)
        revocation.revoke_subject(revoked, "wang", now=NOW + 2 * LONGEST)
        assert "subject:li" not in revoked.read_text()

    def test_the_list_is_bounded(self, revoked, monkeypatch):
        monkeypatch.setattr(revocation, "MAX_ENTRIES", 2)
        for name in ("a", "b", "b"):
            revocation.revoke_subject(revoked, name, now=NOW)
        with pytest.raises(TooManyRevoked, match="--all-before"):
            revocation.revoke_subject(revoked, "c", now=NOW)
        assert len(revocation.listed(revoked, NOW)) == 2

    @pytest.mark.parametrize("content", [None, b"", b"[]", b'{"all": {"issued_until": "soon"}}'])
    def test_a_list_that_is_broken_or_gone_gives_nobody_his_token_back(self, issuer, verifier, revoked, content):
        revocation.revoke_subject(revoked, "li", now=NOW)
        verifier.look()
        revoked.unlink()
        if content is not None:
            revoked.write_bytes(content)
        verifier.look()
        assert refusal(verifier, good(issuer)) == "token_revoked"

    def test_a_broken_list_stops_a_start(self, issuer, folder, clock, revoked):
        revoked.write_text("{")
        with pytest.raises(KeyFileBroken, match="all-before now"):
            verifier_at(folder, clock)


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
