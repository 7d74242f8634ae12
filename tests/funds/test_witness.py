"""The witness signs what continues and nothing else; what it keeps finds an insider, even one who holds the log's key."""

import base64
import hashlib
from pathlib import Path

import httpx
import pytest
import tsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509 import load_pem_x509_certificates
from proofs_insider import Desk, sign_anew, write_anew
from proofs_log import BOOK, Log, filled, log

from services.funds.proofs import kept, logkeys
from services.funds.proofs.audit import verify_database
from services.funds.proofs.notes import (
    COSIGNATURE,
    BadNote,
    Checkpoint,
    Signer,
    VerifierKey,
    open_note,
    read_keys,
    text_of,
)
from services.funds.proofs.sequencer import origin_of
from services.funds.proofs.stamps import NotStamped, check, stamp
from services.funds.proofs.verify import verify_bundle
from services.funds.proofs.witness import NotContinued, Witness
from services.funds.proofs.witness_command import LogOverHttp
from shared.roles import Role

AT = 1_478_000_000
NAME = "audit.test/daohu"
ORIGIN = origin_of(BOOK)


def witness_in(folder: Path, keys: list[VerifierKey]) -> Witness:
    """A witness's process, started (anew) on its folder."""
    return Witness(folder, Signer.at(folder / "witness.key"), NAME, keys)


async def keys_of(it: Log) -> list[VerifierKey]:
    return read_keys((await it.get("/log-key")).text)


def over_http(it: Log) -> LogOverHttp:
    return LogOverHttp(it.live.as_(Role.BACKEND, subject="witness").http)


class Shown:
    """What a log shows that is not what it was."""

    def __init__(self, log: LogOverHttp, **instead: object) -> None:
        self._log, self._instead = log, instead

    async def latest(self, book: str) -> str:
        return self._instead.get("latest") or await self._log.latest(book)

    async def consistency(self, book: str, old: int, new: int):
        return self._instead.get("consistency") or await self._log.consistency(book, old, new)

    async def leaves(self, book: str, after: int, upto: int) -> bytes:
        return self._instead.get("leaves") or await self._log.leaves(book, after, upto)


async def test_a_continued_log_is_signed_with_the_time_and_kept(tmp_path, database_url):
    async with log(tmp_path, database_url) as it:
        await filled(it, 5)
        witness = witness_in(tmp_path / "w", await keys_of(it))
        first = await witness.look(over_http(it), BOOK, AT)
        assert await witness.look(over_http(it), BOOK, AT + 60) is None
        await it.post("more")
        await it.seal()
        second = await witness_in(tmp_path / "w", await keys_of(it)).look(over_http(it), BOOK, AT + 120)
        assert [signed.path.name for signed in (first, second)] == ["000000000005.txt", "000000000006.txt"]
        note = second.path.read_text()
        signature = base64.b64decode(note.splitlines()[-1].rpartition(" ")[2])
        assert open_note(note, [witness.verifier]) == text_of(note)
        assert int.from_bytes(signature[4:12], "big") == AT + 120
        assert (tmp_path / "w" / BOOK / "leaves").stat().st_size == 6 * 32


def test_a_cosignature_is_what_c2sp_describes():
    """c2sp.org/tlog-cosignature: key type 4, eight bytes of time, and `cosignature/v1`, `time N`, the checkpoint under the signature."""
    signer = Signer.of(b"9" * 32)
    text = Checkpoint(ORIGIN, 12, b"r" * 32).text()
    dash, name, encoded = signer.cosign(text, NAME, AT).rstrip("\n").split(" ")
    data = base64.b64decode(encoded)
    assert (dash, name) == ("—", NAME)
    assert data[:4] == hashlib.sha256(NAME.encode() + b"\n\x04" + signer.public).digest()[:4]
    said = b"cosignature/v1\ntime 1478000000\n" + text.encode()
    Ed25519PublicKey.from_public_bytes(signer.public).verify(data[12:], said)
    assert str(signer.verifier(NAME, COSIGNATURE)) == str(VerifierKey.read(str(signer.verifier(NAME, COSIGNATURE))))


async def refused(witness: Witness, log: object, folder: Path, why: str) -> None:
    before = sorted((folder / BOOK / "checkpoints").iterdir())
    with pytest.raises(NotContinued) as shown:
        await witness.look(log, BOOK, AT)
    assert why in str(shown.value)
    assert sorted((folder / BOOK / "checkpoints").iterdir()) == before
    assert Path(str(shown.value).rpartition(" ")[2].rstrip(".")).is_file()


async def test_forks_shrunk_logs_wrong_proofs_and_strangers_are_never_signed(tmp_path):
    async with log(tmp_path) as it:
        await filled(it, 5)
        folder, signer = tmp_path / "w", logkeys.signers(it.live.service.settings.home)[0]
        witness = witness_in(folder, await keys_of(it))
        await witness.look(over_http(it), BOOK, AT)
        await it.post("more")
        await it.seal()
        asked = over_http(it)

        def signed(size: int, root: bytes, by: Signer = signer, origin: str = ORIGIN) -> str:
            return by.sign(Checkpoint(origin, size, root).text(), origin)

        for shown, why in (
            ({"latest": signed(4, b"r" * 32)}, "shrank from 5 entries to 4"),
            ({"latest": signed(5, b"r" * 32)}, "a fork"),
            ({"latest": signed(6, b"r" * 32)}, "a fork"),
            ({"latest": signed(6, b"r" * 32, Signer.new())}, "none of its known keys"),
            ({"latest": signed(6, b"r" * 32, origin="daohu.local/funds/610927")}, "none of its known keys"),
            ({"consistency": [b"x" * 32]}, "a fork"),
            ({"leaves": b"x" * 32}, "do not make the root"),
        ):
            await refused(witness, Shown(asked, **shown), folder, why)
        assert await witness.look(asked, BOOK, AT) is not None


async def test_a_witness_whose_own_copy_was_damaged_signs_nothing(tmp_path):
    async with log(tmp_path) as it:
        await filled(it, 5)
        await witness_in(tmp_path / "w", await keys_of(it)).look(over_http(it), BOOK, AT)
        leaves = tmp_path / "w" / BOOK / "leaves"
        leaves.write_bytes(b"x" + leaves.read_bytes()[1:])
        with pytest.raises(NotContinued, match="is not what was witnessed"):
            await witness_in(tmp_path / "w", await keys_of(it)).look(over_http(it), BOOK, AT)


async def test_after_a_crash_between_leaves_and_checkpoint_the_witness_goes_on(tmp_path):
    async with log(tmp_path) as it:
        await filled(it, 5)
        await witness_in(tmp_path / "w", await keys_of(it)).look(over_http(it), BOOK, AT)
        with (tmp_path / "w" / BOOK / "leaves").open("ab") as leaves:
            leaves.write(b"half of what was coming")
        await it.post("more")
        await it.seal()
        signed = await witness_in(tmp_path / "w", await keys_of(it)).look(over_http(it), BOOK, AT)
        assert signed.path.name == "000000000006.txt"
        assert (tmp_path / "w" / BOOK / "leaves").stat().st_size == 6 * 32


async def test_everything_written_anew_with_the_logs_key_is_refused_by_the_witness_and_found_by_what_it_kept(tmp_path):
    """The strongest insider: all tables, and the key. He shows the auditor a checkpoint of his own, too."""
    async with log(tmp_path) as it:
        await filled(it, 8)
        keys, folder = await keys_of(it), tmp_path / "w"
        witness = witness_in(folder, keys)
        await witness.look(over_http(it), BOOK, AT)
        desk = Desk(f"sqlite:///{it.live.service.settings.home / 'funds.db'}", tmp_path / "copy.db")
        write_anew(desk, 4, lambda said: said.update(memo="x"))
        desk.execute("update ledger_entry set memo = 'x' where seq = 4")
        forged = sign_anew(desk, logkeys.signers(it.live.service.settings.home)[0], ORIGIN)
        assert (await verify_database(desk.url, forged, keys)).exit_code == 0, "without a witness nothing is seen"
        await refused(witness, Shown(over_http(it), latest=forged), folder, "a fork")
        with pytest.raises(BadNote, match="no witness stands for this checkpoint"):
            await verify_database(desk.url, forged, keys, witnesses=[witness.verifier])
        notes, leaves = kept.read([folder / BOOK])
        report = await verify_database(desk.url, notes, keys, witnesses=[witness.verifier], leaves=leaves)
        assert (report.exit_code, [problem.entry for problem in report.problems]) == (1, [4])
        desk.close()


async def test_a_new_log_key_is_signed_once_the_witness_was_given_it(tmp_path):
    async with log(tmp_path) as it:
        await filled(it, 3)
        before = await keys_of(it)
        await witness_in(tmp_path / "w", before).look(over_http(it), BOOK, AT)
        logkeys.rotate_log_key(it.live.service.settings.home)
        for ref in ("both", "alone"):
            await it.post(ref)
            await it.seal()
        await refused(witness_in(tmp_path / "w", before), over_http(it), tmp_path / "w", "none of its known keys")
        assert await witness_in(tmp_path / "w", await keys_of(it)).look(over_http(it), BOOK, AT) is not None


async def test_a_stamp_of_an_authority_stands_for_the_checkpoint_and_no_other(tmp_path):
    folder = tmp_path / "tsa"
    folder.mkdir()
    roots = load_pem_x509_certificates(tsa.make(folder).read_bytes())
    with tsa.authority(folder) as running:
        async with httpx.AsyncClient() as http:
            answer = await stamp(http, running.url, b"checkpoint", roots)
            other = tmp_path / "other"
            other.mkdir()
            strangers = load_pem_x509_certificates(tsa.make(other).read_bytes())
            with pytest.raises(NotStamped):
                await stamp(http, running.url, b"checkpoint", strangers)
    check(answer, b"checkpoint", roots)
    for wrong in (b"another checkpoint", b""):
        with pytest.raises(NotStamped):
            check(answer, wrong, roots)
    with pytest.raises(NotStamped):
        check(answer[:-1] + bytes([answer[-1] ^ 1]), b"checkpoint", roots)


async def test_a_witnessed_checkpoint_and_a_bundle_under_it_carry_all_signatures(tmp_path, database_url):
    async with log(tmp_path, database_url) as it:
        await filled(it, 5)
        witness, asked, home = (
            witness_in(tmp_path / "w", await keys_of(it)),
            over_http(it),
            it.live.service.settings.home,
        )
        signed = await witness.look(asked, BOOK, AT)
        (home / "keys" / "witnesses.vkey").write_text(f"{witness.verifier}\n")
        await asked.hand_in(BOOK, signed.size, signed.line)
        await it.post("more")
        await it.seal()
        assert (await it.get("/checkpoints/latest")).text.count("\n— ") == 1
        witnessed = (await it.get("/checkpoints/latest", witnessed=True)).text
        assert witnessed == signed.path.read_text()
        bundle = tmp_path / "bundle.zip"
        keys = await keys_of(it)
        for params, code in (({"witnessed": True}, 0), ({}, 1)):
            bundle.write_bytes((await it.get("/bundles", seq=[2, 5], **params)).content)
            assert verify_bundle(bundle, keys, [witness.verifier]).exit_code == code
            assert verify_bundle(bundle, keys).exit_code == 0


async def test_only_a_known_witnesss_signature_of_a_checkpoint_there_is_is_taken(tmp_path):
    async with log(tmp_path) as it:
        await filled(it, 5)
        signed = await witness_in(tmp_path / "w", await keys_of(it)).look(over_http(it), BOOK, AT)
        stranger = Signer.new()
        program, known = (
            it.live.as_(Role.BACKEND, subject="witness"),
            it.live.service.settings.home / "keys" / "witnesses.vkey",
        )

        async def brought(size: int, line: str) -> tuple[int, str]:
            answer = await program.post(f"/funds/v1/checkpoints/{size}/cosignatures", {"line": line})
            return answer.status_code, answer.json().get("code", "")

        assert await brought(5, signed.line) == (409, "no_witness_known")
        known.write_text(f"{stranger.verifier('other.test', COSIGNATURE)}\n")
        assert await brought(5, signed.line) == (409, "cosignature_wrong")
        known.write_text(f"{witness_in(tmp_path / 'w', await keys_of(it)).verifier}\n")
        assert await brought(4, signed.line) == (404, "not_found")
        assert await brought(5, signed.line + signed.line) == (409, "cosignature_wrong")
        assert await brought(5, signed.line) == (201, "")
        assert (
            await it.live.as_(Role.FINANCE).post("/funds/v1/checkpoints/5/cosignatures", {"line": "x"})
        ).status_code == 403
