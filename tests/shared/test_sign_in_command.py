"""`daohu token`, `daohu tokens` and `daohu accounts`: what they refuse, and how they say it."""

from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from services.cli import app
from shared.clock import MovableClock

COUNTY = "610926000000"


@pytest.fixture
def home(tmp_path):
    MovableClock(tmp_path / "clock", datetime(2016, 11, 7, 1, 0, tzinfo=UTC))
    (tmp_path / "keys").mkdir()
    return tmp_path


def said(home, *words, typed=None):
    """Exit code, standard output and standard error of a command."""
    answer = CliRunner().invoke(app, [*words, "--home", str(home)], input=typed)
    return answer.exit_code, answer.stdout, answer.stderr


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["tokens", "revoke"], 2, "--subject"),
        (["tokens", "revoke", "--subject", "li", "--token-id", "x"], 2, "Say one of"),
        (["tokens", "revoke", "--all-before", "yesterday"], 2, "is no instant"),
        (["tokens", "revoke", "--all-before", "2016-11-01"], 2, "which zone"),
        (["tokens", "revoke", "--all-before", "2099-01-01T00:00+00:00"], 2, "is to come"),
        (["accounts", "remove", "nobody"], 1, "no account nobody"),
        (["accounts", "add", "x y", "--role", "backend", "--division", COUNTY], 1, "small letters"),
        (["accounts", "add", "app", "--role", "emperor", "--division", COUNTY], 2, "Unknown role"),
        (["token", "--role", "auditor", "--division", "61"], 2, "12-digit"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(home, words, code, why):
    ended, out, err = said(home, *words)
    assert (ended, out) == (code, "")
    assert why in err
    assert list((home / "keys").iterdir()) == []


@pytest.mark.parametrize("words", [["tokens", "revoke", "--subject", "li"], ["accounts", "list"]])
def test_a_folder_without_keys_is_no_home(tmp_path, words):
    ended, _, err = said(tmp_path, *words)
    assert (ended, "keys init" in err, list(tmp_path.iterdir())) == (1, True, [])


def test_what_is_revoked_is_listed(home):
    for words in (["--subject", "li"], ["--token-id", "t-1"], ["--all-before", "2016-11-01T00:00+08:00"]):
        assert said(home, "tokens", "revoke", *words)[0] == 0
    assert said(home, "tokens", "revoked")[1].splitlines() == [
        "all 2016-10-31T16:00:00+00:00",
        "subject:li 2016-11-07T01:01:00+00:00",
        "token:t-1",
    ]


@pytest.mark.parametrize(("hours", "code"), [("12", 0), ("13", 2)])
def test_on_a_clock_that_runs_a_token_lasts_twelve_hours_at_most(tmp_path, hours, code):
    ended, out, _ = said(tmp_path, "token", "--role", "auditor", "--division", COUNTY, "--hours", hours)
    assert (ended, bool(out)) == (code, code == 0)


def test_on_a_clock_that_is_moved_it_may_last_longer(home):
    assert said(home, "token", "--role", "auditor", "--division", COUNTY, "--hours", "700")[0] == 0


def test_what_a_token_counts_for_is_said(home):
    token = said(home, "token", "--role", "payer", "--role", "auditor", "--division", COUNTY, "--subject", "li")[1]
    assert said(home, "tokens", "check", typed=token) == (
        0,
        f"subject li\nclient cli\nroles auditor payer\ndivisions {COUNTY}\n",
        "",
    )


def test_why_a_token_does_not_count_is_said(home):
    token = said(home, "token", "--role", "payer", "--division", COUNTY, "--subject", "li")[1]
    said(home, "tokens", "revoke", "--subject", "li")
    ended, out, err = said(home, "tokens", "check", typed=token)
    assert (ended, out) == (1, "")
    assert err.startswith("token_revoked")


def test_where_local_tokens_do_not_count_none_is_given(home, monkeypatch):
    monkeypatch.setenv("DAOHU_LOCAL_ISSUER", "false")
    ended, out, err = said(home, "token", "--role", "payer", "--division", COUNTY)
    assert (ended, out) == (1, "")
    assert "DAOHU_LOCAL_ISSUER" in err


def test_a_cluster_has_no_accounts_of_its_own(home, monkeypatch):
    monkeypatch.setenv("DAOHU_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    ended, out, err = said(home, "accounts", "add", "app", "--role", "backend", "--division", COUNTY)
    assert (ended, out) == (1, "")
    assert "provider" in err


def test_the_accounts_are_listed_without_their_secrets(home):
    secret = said(home, "accounts", "add", "app", "--role", "backend", "--division", COUNTY)[1].strip()
    listed = said(home, "accounts", "list")[1]
    assert listed == f"app backend {COUNTY} since 2016-11-07T01:00:00+00:00\n"
    assert len(secret) == 43
    assert said(home, "accounts", "remove", "app")[0] == 0
    assert said(home, "accounts", "list")[1] == ""
    assert "subject:account:app" in said(home, "tokens", "revoked")[1]
