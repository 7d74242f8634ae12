"""shared.oidc against a provider that runs: its keys, its rotations, its absence, and everything that is no token of it."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from services.notify.settings import Settings
from shared import keys, oidc
from shared.auth import IssuerAway, TokenRefused, Verifier
from shared.clock import MovableClock
from shared.keyfiles import KeyFileBroken
from shared.roles import Role
from tests.servers import free_port
from tests.servers.oidc import AUDIENCE, DISCOVERY, KEYS, OpenIdProvider, new_key, rsa_key

NOW = datetime(2016, 11, 7, 1, 0, tzinfo=UTC)
COUNTY, TOWN = "610926000000", "610926100000"


class Tick:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def tick():
    return Tick()


@pytest.fixture
def clock(tmp_path):
    return MovableClock(tmp_path / "clock", NOW)


@pytest.fixture(scope="module")
def listening():
    provider = OpenIdProvider()
    yield provider
    provider.stop()


@pytest.fixture
def openid(listening):
    listening.begin_anew()
    listening.add("ec", "ES256")
    return listening


def described(openid, **changes):
    return {"issuer": openid.url, "audience": AUDIENCE, "claims": {"roles": ["realm_access", "roles"]}, **changes}


@pytest.fixture
def trusting(openid, clock, tick):
    """A verifier that trusts the provider, as described with changes."""

    def make(**changes):
        config = oidc.Issuer.model_validate(described(openid, **changes))
        return Verifier([oidc.Provider(config, tick=tick)], clock=clock)

    return make


@pytest.fixture
def verifier(trusting):
    return trusting()


async def settled(verifier):
    """Looks as a request does, and lets the fetch it may begin end."""
    verifier.look()
    for issuer in verifier._issuers.values():
        if issuer._fetching is not None:
            await issuer._fetching
    verifier.look()


async def refusal(verifier, token):
    """The code it is refused with; None when it counts."""
    try:
        await verifier.caller(token)
    except TokenRefused as refused:
        return refused.code
    return None


class TestToken:
    @pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
    async def test_a_token_of_the_provider_becomes_its_caller(self, openid, verifier, algorithm):
        openid.add("other", algorithm)
        caller = await verifier.caller(openid.token("other", NOW, sub="wang", divisions=[TOWN]))
        assert (caller.subject, caller.client, caller.roles) == ("wang", "county-web", {Role.PAYER})
        assert caller.divisions == (TOWN,)

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"aud": "another-api"}, "token_audience"),
            ({"aud": None}, "token_malformed"),
            ({"iss": "https://elsewhere.example"}, "token_issuer"),
            ({"exp": int(NOW.timestamp())}, "token_expired"),
            ({"nbf": int(NOW.timestamp()) + 61}, "token_not_yet_valid"),
            ({"exp": int(NOW.timestamp()) + 12 * 3600 + 1}, "token_too_long"),
            ({"at_hash": "x"}, "token_kind"),
            ({"typ": "ID"}, "token_kind"),
            ({"sub": None}, "token_malformed"),
            ({"azp": None}, "token_malformed"),
            ({"azp": ["x"]}, "token_malformed"),
            ({"jti": None}, "token_malformed"),
            ({"realm_access": None}, "token_no_role"),
            ({"realm_access": "payer"}, "token_no_role"),
            ({"realm_access": {"roles": ["offline_access"]}}, "token_unknown_role"),
            ({"divisions": None}, "token_no_division"),
            ({"divisions": ["0"]}, "token_bad_division"),
            ({"sub": "system"}, "token_subject"),
        ],
    )
    async def test_what_is_wrong_with_a_token_is_said(self, openid, verifier, changes, code):
        assert await refusal(verifier, openid.token("ec", NOW, **changes)) == code

    async def test_a_key_that_the_provider_does_not_show_is_forged(self, openid, verifier):
        openid.add("stolen", "ES256")
        openid.drop("stolen")
        assert await refusal(verifier, openid.token("stolen", NOW)) == "token_forged"

    async def test_a_known_key_id_over_another_key_is_forged(self, openid, verifier):
        token = openid.token("ec", NOW)
        forged = jwt.encode(
            jwt.decode(token, options={"verify_signature": False}), new_key("ES256"), "ES256", headers={"kid": "ec"}
        )
        assert await refusal(verifier, forged) == "token_forged"

    async def test_the_public_key_is_no_shared_secret(self, openid, verifier):
        """Algorithm confusion: HS256 with the public key, which everybody has, as its secret."""
        public = openid.add("rsa", "RS256").public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        head, body = (_part({"alg": "HS256", "typ": "JWT", "kid": "rsa"}), openid.token("rsa", NOW).split(".")[1])
        signature = hmac.new(pem, f"{head}.{body}".encode(), hashlib.sha256).digest()
        assert await refusal(verifier, f"{head}.{body}.{_text(signature)}") == "token_algorithm"

    async def test_no_signature_is_no_algorithm(self, openid, verifier):
        body = openid.token("ec", NOW).split(".")[1]
        assert await refusal(verifier, f"{_part({'alg': 'none', 'kid': 'ec'})}.{body}.") == "token_algorithm"

    async def test_an_algorithm_the_county_did_not_name_is_refused(self, openid, trusting):
        openid.add("rsa", "RS256")
        assert await refusal(trusting(algorithms=["ES256"]), openid.token("rsa", NOW)) == "token_algorithm"

    async def test_a_key_works_with_its_own_algorithm_only(self, openid, verifier):
        private = openid.add("rsa", "RS256")
        claims = jwt.decode(openid.token("rsa", NOW), options={"verify_signature": False})
        token = jwt.encode(claims, private, "PS256", headers={"kid": "rsa"})
        assert await refusal(verifier, token) == "token_forged"

    @pytest.mark.parametrize("header", ["jku", "x5u"])
    async def test_where_a_token_says_its_key_lies_nobody_looks(self, openid, verifier, header):
        thief = new_key("ES256")
        openid.put("/thief", {"keys": []})
        token = jwt.encode(
            jwt.decode(openid.token("ec", NOW), options={"verify_signature": False}),
            thief,
            "ES256",
            headers={"kid": "thief", header: f"{openid.url}/thief"},
        )
        assert await refusal(verifier, token) == "token_forged"
        assert openid.asked["/thief"] == 0

    async def test_a_key_inside_the_token_is_not_believed(self, openid, verifier):
        token = openid.token("ec", NOW, headers={"kid": "inside", "jwk": openid.shown()[0]})
        assert await refusal(verifier, token) == "token_forged"


class TestKeySet:
    @pytest.mark.parametrize(
        "changes",
        [
            {"use": "enc"},
            {"key_ops": ["sign"]},
            {"key_ops": 5},
            {"alg": "ES384"},
            {"crv": "P-384"},
            {"kty": "RSA"},
            {"kid": None},
            {"kid": "x" * 201},
            {"x": "AAAA"},
            {"x": 5},
        ],
    )
    async def test_a_key_that_is_not_for_this_is_left_out(self, openid, verifier, changes):
        openid.add("odd", "ES256", changes=changes)
        assert await refusal(verifier, openid.token("odd", NOW)) == "token_forged"
        assert await refusal(verifier, openid.token("ec", NOW)) is None

    @pytest.mark.filterwarnings("ignore:The RSA key is 1024")
    async def test_a_weak_rsa_key_is_left_out(self, openid, verifier):
        openid.add("weak", "RS256", rsa_key(1024))
        assert await refusal(verifier, openid.token("weak", NOW)) == "token_forged"

    def test_a_symmetric_key_is_never_taken(self):
        assert oidc.key_set({"keys": [{"kty": "oct", "kid": "k", "k": "c2VjcmV0"}]}, tuple(oidc.FITS)) == {}

    @pytest.mark.parametrize(
        "document",
        [
            b"",
            b"[]",
            b"{}",
            b'{"keys": {}}',
            b"\x1f\x8b",
            json.dumps({"keys": [{}] * (oidc.MAX_KEYS + 1)}).encode(),
            b'{"keys": [], "more": "' + b"x" * oidc.MAX_DOCUMENT_BYTES + b'"}',
        ],
        ids=["empty", "list", "no keys", "keys no list", "packed", "too many", "huge"],
    )
    async def test_what_is_no_key_set_leaves_the_last_good_one(self, openid, verifier, tick, document):
        await verifier.caller(openid.token("ec", NOW))
        openid.documents["/realms/daohu" + KEYS] = document
        tick.now += oidc.REFRESH_S + 1
        await settled(verifier)
        assert openid.asked[KEYS] == 2
        assert await refusal(verifier, openid.token("ec", NOW, sub="wang")) is None

    async def test_a_discovery_document_of_another_issuer_is_not_believed(self, openid, verifier):
        openid.put(DISCOVERY, {"issuer": "https://elsewhere.example", "jwks_uri": openid.url + KEYS})
        with pytest.raises(IssuerAway):
            await verifier.caller(openid.token("ec", NOW))
        assert openid.asked[KEYS] == 0

    @pytest.mark.parametrize(
        "address", ["http://0.0.0.0:{port}/realms/daohu/keys", "file:///etc/passwd", 5, "https://"]
    )
    async def test_a_key_set_at_an_address_that_is_not_secure_is_not_asked_for(self, openid, verifier, address):
        """The first one would answer, in the clear, under a name that is not this machine's own."""
        named = address.format(port=urlsplit(openid.url).port) if isinstance(address, str) else address
        openid.put(DISCOVERY, {"issuer": openid.url, "jwks_uri": named})
        with pytest.raises(IssuerAway):
            await verifier.caller(openid.token("ec", NOW))
        assert openid.asked == {DISCOVERY: 1}

    async def test_a_redirection_is_not_followed(self, openid, verifier):
        openid.status = 302
        with pytest.raises(IssuerAway):
            await verifier.caller(openid.token("ec", NOW))

    async def test_an_address_the_county_names_needs_no_discovery(self, openid, trusting):
        assert await refusal(trusting(jwks_uri=openid.url + KEYS), openid.token("ec", NOW)) is None
        assert openid.asked == {KEYS: 1}


class TestRotation:
    async def test_a_new_key_is_taken_up_by_the_first_token_it_signed(self, openid, verifier, tick):
        await verifier.caller(openid.token("ec", NOW))
        openid.add("next", "EdDSA")
        tick.now += oidc.AGAIN_S
        assert await refusal(verifier, openid.token("next", NOW)) is None

    async def test_keys_nobody_has_do_not_make_it_ask_more_often(self, openid, verifier, tick):
        openid.add("unknown", "ES256")
        openid.drop("unknown")
        for number in range(20):
            token = openid.token("unknown", NOW, headers={"kid": f"k{number}"})
            assert await refusal(verifier, token) == "token_forged"
        assert openid.asked[KEYS] == 1

    async def test_a_key_that_is_gone_empties_the_memory(self, openid, verifier, tick):
        token = openid.token("ec", NOW)
        openid.add("next", "ES256")
        caller = await verifier.caller(token)
        assert await verifier.caller(token) is caller
        openid.drop("ec")
        tick.now += oidc.REFRESH_S + 1
        await settled(verifier)
        assert await refusal(verifier, token) == "token_forged"
        assert await refusal(verifier, openid.token("next", NOW)) is None

    async def test_keys_fetched_again_that_are_the_same_leave_the_memory(self, openid, verifier, tick):
        token = openid.token("ec", NOW)
        caller = await verifier.caller(token)
        tick.now += oidc.REFRESH_S + 1
        await settled(verifier)
        assert openid.asked[KEYS] == 2
        assert await verifier.caller(token) is caller

    async def test_a_request_with_a_known_key_does_not_wait_for_the_renewal(self, openid, verifier, tick):
        await verifier.caller(openid.token("ec", NOW))
        tick.now += oidc.REFRESH_S + 1
        verifier.look()
        assert verifier.verify(openid.token("ec", NOW, sub="wang")).subject == "wang"
        assert openid.asked[KEYS] == 1


class TestAway:
    async def test_while_it_is_away_its_last_keys_count_and_then_no_more(self, openid, verifier, tick):
        token = openid.token("ec", NOW)
        await verifier.caller(token)
        openid.status = 503
        tick.now += oidc.LAST_GOOD_S
        await settled(verifier)
        assert await refusal(verifier, token) is None
        tick.now += 1
        await settled(verifier)
        with pytest.raises(IssuerAway) as away:
            await verifier.caller(token)
        assert (away.value.status, away.value.retryable) == (503, True)

    async def test_a_provider_that_was_away_at_the_start_is_asked_again(self, openid, verifier, tick):
        openid.status = 503
        with pytest.raises(IssuerAway):
            await verifier.caller(openid.token("ec", NOW))
        openid.status = 200
        tick.now += oidc.AGAIN_S
        assert await refusal(verifier, openid.token("ec", NOW)) is None

    async def test_a_provider_that_refuses_the_connection_is_away(self, openid, trusting):
        elsewhere = f"http://127.0.0.1:{free_port()}"
        with pytest.raises(IssuerAway):
            await trusting(issuer=elsewhere).caller(openid.token("ec", NOW, iss=elsewhere))

    async def test_the_age_of_its_keys_is_known_and_of_keys_in_a_file_there_is_none(
        self, openid, verifier, tick, clock, tmp_path
    ):
        assert verifier.keys_ages_s() == {openid.url: float("inf")}
        await verifier.caller(openid.token("ec", NOW))
        openid.status = 503
        tick.now += oidc.REFRESH_S + 1
        await settled(verifier)
        assert verifier.keys_ages_s() == {openid.url: oidc.REFRESH_S + 1}
        assert keys.verifier(Settings(home=tmp_path), clock).keys_ages_s() == {}


class TestDescription:
    async def test_only_roles_with_the_prefix_are_looked_at(self, openid, trusting):
        roles = {"realm_access": {"roles": ["daohu:payer", "offline_access", "payroll:admin"]}}
        caller = await trusting(role_prefix="daohu:").caller(openid.token("ec", NOW, **roles))
        assert caller.roles == {Role.PAYER}

    async def test_a_prefix_tells_two_providers_people_apart(self, openid, trusting):
        caller = await trusting(subject_prefix="city/").caller(openid.token("ec", NOW))
        assert (caller.subject, caller.client) == ("city/li", "city/county-web")

    @pytest.mark.parametrize("claim", ["sub", "azp"])
    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("city/li", "token_subject"),
            ("City/Li", "token_subject"),
            ("account:mobile-backend", "token_subject"),
            ("citizen", None),
        ],
    )
    async def test_no_provider_speaks_under_the_names_of_another_or_of_accounts(self, openid, clock, name, code, claim):
        theirs = {"issuer": "https://city.example", "audience": "daohu", "subject_prefix": "city/"}
        listed = [oidc.Issuer.model_validate(one) for one in (described(openid), theirs)]
        verifier = Verifier(oidc.providers_of(listed), clock=clock)
        assert await refusal(verifier, openid.token("ec", NOW, **{claim: name})) == code

    async def test_a_name_may_begin_as_those_of_a_provider_with_a_shorter_prefix(self, openid, clock):
        theirs = {"issuer": "https://city.example", "audience": "daohu", "subject_prefix": "city/"}
        ours = described(openid, subject_prefix="city/west/")
        verifier = Verifier(oidc.providers_of([oidc.Issuer.model_validate(one) for one in (ours, theirs)]), clock=clock)
        assert (await verifier.caller(openid.token("ec", NOW))).subject == "city/west/li"

    @pytest.mark.parametrize(("given", "code"), [(["auditor"], "token_beyond_issuer"), (["payer"], None)])
    async def test_a_provider_gives_no_role_but_its_own(self, openid, trusting, given, code):
        assert await refusal(trusting(only_roles=given), openid.token("ec", NOW)) == code

    @pytest.mark.parametrize(("given", "code"), [([TOWN], "token_beyond_issuer"), (["610900000000"], None)])
    async def test_a_provider_gives_no_area_beyond_its_own(self, openid, trusting, given, code):
        assert await refusal(trusting(only_divisions=given), openid.token("ec", NOW)) == code

    @pytest.mark.parametrize(("named", "code"), [(["canteen"], "token_beyond_issuer"), (["county-web"], None)])
    async def test_a_token_that_a_provider_gave_to_another_program_does_not_count(self, openid, trusting, named, code):
        assert await refusal(trusting(only_clients=named, subject_prefix="city/"), openid.token("ec", NOW)) == code

    async def test_a_service_trusts_the_providers_of_its_file_and_its_own_issuer(self, openid, clock, tmp_path):
        (tmp_path / "issuers.yaml").write_text(json.dumps([described(openid)]))
        settings = Settings(home=tmp_path / "home", oidc_issuers=tmp_path / "issuers.yaml")
        verifier = keys.verifier(settings, clock)
        local = keys.issuer(settings.home).token(
            "operator", [Role.COUNTY_ADMIN], [COUNTY], client="cli", lifetime=timedelta(hours=1), now=NOW
        )
        assert await refusal(verifier, openid.token("ec", NOW)) is None
        assert await refusal(verifier, local) is None
        only = keys.verifier(settings.model_copy(update={"local_issuer": False}), clock)
        assert await refusal(only, local) == "token_issuer"

    def test_an_empty_setting_is_none(self, monkeypatch):
        monkeypatch.setenv("DAOHU_OIDC_ISSUERS", "")
        assert Settings().oidc_issuers is None

    def test_a_house_in_which_nobodys_token_counts_does_not_start(self, clock, tmp_path):
        with pytest.raises(KeyFileBroken, match="DAOHU_OIDC_ISSUERS"):
            keys.verifier(Settings(home=tmp_path, local_issuer=False), clock)

    GOOD = {"issuer": "https://sso.example/realms/a", "audience": "daohu-api"}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("listed", "wrong"),
        [
            ([], "1 to"),
            ([GOOD, GOOD], "same issuer"),
            ([GOOD, {**GOOD, "issuer": "https://b.example"}], "same subject_prefix"),
            ([{**GOOD, "issuer": "http://sso.example/realms/a"}], "https://"),
            ([{**GOOD, "issuer": "daohu-local"}], "https://"),
            ([{**GOOD, "jwks_uri": "http://sso.example/keys"}], "https://"),
            ([{**GOOD, "issuer": "https://li:secret@sso.example/realms/a"}], "no password"),
            ([{**GOOD, "audience": ""}], "audience"),
            ([{"issuer": GOOD["issuer"]}], "audience"),
            ([{**GOOD, "algorithms": ["HS256"]}], "algorithms"),
            ([{**GOOD, "algorithms": ["none"]}], "algorithms"),
            ([{**GOOD, "algorithms": []}], "algorithms"),
            ([{**GOOD, "max_hours": 25}], "max_hours"),
            ([{**GOOD, "verify": False}], "verify"),
            ([{**GOOD, "only_roles": ["emperor"]}], "only_roles"),
            ([{**GOOD, "only_divisions": ["61"]}], "only_divisions"),
            ({"issuers": []}, "list"),
            ("{", "YAML"),
            (None, "No such file"),
        ],
    )
    def test_a_wrong_description_is_refused_by_name(self, tmp_path, listed, wrong):
        path = tmp_path / "issuers.yaml"
        if listed is not None:
            path.write_text(listed if isinstance(listed, str) else json.dumps(listed))
        with pytest.raises(KeyFileBroken, match=wrong):
            oidc.issuers_at(path)


def _text(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _part(header):
    return _text(json.dumps(header).encode())
