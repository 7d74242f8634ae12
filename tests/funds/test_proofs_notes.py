"""Notes, checkpoints and proofs are the texts C2SP describes, and no changed byte passes."""

import base64
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.funds.proofs.notes import (
    MAX_SIGNATURES,
    BadNote,
    Checkpoint,
    Proof,
    Signer,
    VerifierKey,
    open_checkpoint,
    open_note,
    read_keys,
    read_unsigned,
)

# Source: handbook reference/merkle/rfc.py (an example of golang.org/x/mod/sumdb/note).
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
ORIGIN = "daohu.test/funds/610926"
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(b"7" * 32))
KEY = SIGNER.verifier(ORIGIN)
NOTE = SIGNER.sign(Checkpoint(ORIGIN, 12, b"r" * 32).text(), ORIGIN)


def test_a_note_signed_by_another_tool_opens():
    assert open_note(EXAMPLE_NOTE, [VerifierKey.read(EXAMPLE_KEY)]) == "This is an example message.\n"
    assert str(VerifierKey.read(EXAMPLE_KEY)) == EXAMPLE_KEY


def test_a_checkpoint_is_three_lines_and_a_signature():
    root = base64.b64encode(b"r" * 32).decode()
    assert NOTE.startswith(f"{ORIGIN}\n12\n{root}\n\n— {ORIGIN} ")
    assert open_checkpoint(NOTE, [KEY]) == Checkpoint(ORIGIN, 12, b"r" * 32)
    assert read_unsigned(NOTE) == Checkpoint(ORIGIN, 12, b"r" * 32)


def test_no_bit_of_a_signed_checkpoint_can_change():
    data = NOTE.encode()
    for at in range(len(data)):
        for bit in range(8):
            flipped = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            with pytest.raises(BadNote):
                open_checkpoint(flipped.decode(errors="surrogateescape"), [KEY])


def test_only_a_known_key_named_like_the_origin_counts():
    other = Signer(Ed25519PrivateKey.from_private_bytes(b"8" * 32))
    for keys in ([], [other.verifier(ORIGIN)], [SIGNER.verifier("daohu.test/other")]):
        with pytest.raises(BadNote, match="no known key"):
            open_checkpoint(NOTE, keys)


def test_a_witness_may_add_its_signature():
    witness = Signer(Ed25519PrivateKey.from_private_bytes(b"8" * 32))
    line = witness.sign(NOTE.rpartition("\n\n")[0] + "\n", "witness.test").rpartition("\n\n")[2]
    assert open_checkpoint(NOTE + line, [KEY]).size == 12
    assert open_note(NOTE + line * (MAX_SIGNATURES - 1), [KEY])
    with pytest.raises(BadNote):
        open_note(NOTE + line * MAX_SIGNATURES, [KEY])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n1\n",
        "o\n01\nAA==\n",
        "o\n1\nAA==\n",
        "o\n-1\n" + "A" * 43 + "=\n",
        "\n1\n" + "A" * 43 + "=\n",
        "o\n1\n" + "A" * 43 + "=\next\n",
    ],
)
def test_what_is_not_a_checkpoint_is_refused(text):
    with pytest.raises(BadNote):
        Checkpoint.read(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "name",
        EXAMPLE_KEY.replace("530d", "530e"),
        EXAMPLE_KEY + "=",
        EXAMPLE_KEY.replace("+Ae", "+Be"),
        "a b" + EXAMPLE_KEY,
    ],
)
def test_what_is_not_a_verifier_key_is_refused(text):
    with pytest.raises(BadNote):
        read_keys(text)


def test_a_proof_is_header_index_hashes_and_the_checkpoint():
    proof = Proof(5, (b"a" * 32, b"b" * 32), NOTE)
    hashes = [base64.b64encode(h).decode() for h in proof.path]
    assert proof.text() == f"c2sp.org/tlog-proof@v1\nindex 5\n{hashes[0]}\n{hashes[1]}\n\n{NOTE}"
    assert Proof.read(proof.text()) == proof
    assert Proof(0, (), NOTE).text() == f"c2sp.org/tlog-proof@v1\nindex 0\n\n{NOTE}"
    assert Proof.read(Proof(0, (), NOTE).text()) == Proof(0, (), NOTE)


@pytest.mark.parametrize(
    "change",
    [
        ("@v1", "@v2"),
        ("index 5", "index 05"),
        ("index 5", "index -5"),
        ("index 5", "extra QQ==\nindex 5"),
        ("YWFh", "YWF!"),
        ("\n\n", "\n"),
    ],
)
def test_what_is_not_a_proof_is_refused(change):
    with pytest.raises(BadNote):
        Proof.read(Proof(5, (b"a" * 32,), NOTE).text().replace(*change))


def test_the_key_file_is_made_once_and_is_its_owners_alone(tmp_path):
    path = tmp_path / "keys" / "funds-log.key"
    first, second = Signer.at(path), Signer.at(path)
    assert first.public == second.public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
