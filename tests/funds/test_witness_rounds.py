"""A witness's rounds: what could not be had in one is brought, asked for or stamped in a later one; a wrong stamp never counts."""

from pathlib import Path

import httpx
import pytest
import tsa
from cryptography.x509 import load_pem_x509_certificates
from proofs_log import BOOK, filled, log
from test_witness import AT, keys_of, over_http, witness_in

from services.funds.proofs.witness_command import VKEY, Account, LogOverHttp, Stamper, Watch, look_around

NOBODY = "http://127.0.0.1:1"
"""An address at which nobody answers."""

WRONG = {
    "of another hash": {"hears": tsa.of_another_hash},
    "of another nonce": {"hears": tsa.of_another_nonce},
    "refused": {"hears": tsa.to_be_refused},
    "none at all": {"instead": b"<html>please sign in</html>"},
    "too long": {"instead": b"0" * 70_000},
}


@pytest.fixture(scope="module")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificates of a time-stamp authority."""
    folder = tmp_path_factory.mktemp("tsa")
    tsa.make(folder)
    return folder


def roots_of(bureau: Path):
    return load_pem_x509_certificates((bureau / "root.pem").read_bytes())


def stamps_in(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / BOOK / "stamps").iterdir())


async def test_a_signature_that_was_not_taken_is_brought_again(tmp_path):
    async with log(tmp_path) as it:
        await filled(it, 3)
        witness = witness_in(tmp_path / "w", await keys_of(it))
        known = it.live.service.settings.home / "keys" / "witnesses.vkey"
        assert await look_around(witness, over_http(it)) is False
        known.write_text(f"{witness.verifier}\n")
        assert (await it.get("/checkpoints/latest", witnessed=True)).status_code == 409
        assert await look_around(witness, over_http(it)) is True
        signed = tmp_path / "w" / BOOK / "checkpoints" / "000000000003.txt"
        assert (await it.get("/checkpoints/latest", witnessed=True)).text == signed.read_text()
        assert witness.to_hand_in(BOOK) is None


ODD = {
    "a list": b"[]",
    "no hash": b'{"hashes": [null]}',
    "a number": b'{"hashes": 7}',
    "a page": b"<html>please sign in</html>",
    "without end": b'{"hashes": []}'.ljust(2 << 20),
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
async def test_whatever_stands_in_for_the_log_the_witness_goes_on(tmp_path, capsys, body):
    async with log(tmp_path) as it:
        await filled(it, 3)
        note, keys = (await it.get("/checkpoints/latest")).content, await keys_of(it)

    async def between(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": note if scope["path"].endswith("latest") else body})

    async with httpx.AsyncClient(transport=httpx.ASGITransport(between), base_url="http://log") as http:
        assert await look_around(witness_in(tmp_path / "w", keys), LogOverHttp(http)) is False
    assert f"away     book {BOOK}" in capsys.readouterr().err


@pytest.mark.parametrize("answer", WRONG)
async def test_a_wrong_stamp_is_not_kept_and_a_right_one_is_asked_for_again(tmp_path, bureau, capsys, answer):
    async with log(tmp_path) as it:
        await filled(it, 3)
        witness = witness_in(tmp_path / "w", await keys_of(it))
        await witness.look(over_http(it), BOOK, AT)
    with tsa.authority(bureau) as running:
        stamper = Stamper(running.url, roots_of(bureau), every=3600)
        for name, value in WRONG[answer].items():
            setattr(running, name, value)
        assert await stamper.stamp_newest(witness) is False
        assert (stamps_in(tmp_path / "w"), "UNSTAMPED" in capsys.readouterr().err) == ([], True)
        running.hears, running.instead = bytes, b""
        assert await stamper.stamp_newest(witness) is True
        assert stamps_in(tmp_path / "w") == ["000000000003.tsr"]


async def test_a_stamp_of_an_unknown_authority_is_not_kept(tmp_path, bureau, capsys):
    async with log(tmp_path) as it:
        await filled(it, 3)
        witness = witness_in(tmp_path / "w", await keys_of(it))
        await witness.look(over_http(it), BOOK, AT)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    tsa.make(stranger)
    with tsa.authority(stranger) as running:
        assert await Stamper(running.url, roots_of(bureau), every=3600).stamp_newest(witness) is False
    assert (stamps_in(tmp_path / "w"), "NotStamped" in capsys.readouterr().err) == ([], True)


async def test_with_the_house_away_and_the_key_file_half_written_what_was_signed_is_still_stamped(
    tmp_path, bureau, capsys
):
    folder, key, secret = tmp_path / "w", tmp_path / "funds.vkey", tmp_path / "secret"
    async with log(tmp_path) as it:
        await filled(it, 3)
        witness = witness_in(folder, await keys_of(it))
        await witness.look(over_http(it), BOOK, AT)
        key.write_text((await it.get("/log-key")).text)
    (folder / VKEY).write_text(f"{witness.verifier}\n")
    secret.write_text("a secret")
    with tsa.authority(bureau) as running:
        stamper = Stamper(running.url, roots_of(bureau), every=3600)
        watch = Watch(folder, key, NOBODY, Account(f"{NOBODY}/auth/v1/token", "witness", secret), stamper)
        key.write_text(key.read_text()[:-9])
        assert await watch.look() is False
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.err.splitlines()] == ["old", "away"]
    assert stamps_in(folder) == ["000000000003.tsr"]
