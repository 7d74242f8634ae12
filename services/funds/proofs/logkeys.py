"""The log's keys (存证签名密钥): one signs, and after a rotation the one before it signs beside it until all books are handed over.

`funds-log.key` holds private keys (32 bytes, base64, one a line): the one that signs, then those that still hand over.
`funds-log.pub` holds the public keys of all that ever signed, newest first: what was signed stays verifiable.
"""

import base64
from collections.abc import Sequence
from pathlib import Path

from services.funds.proofs.notes import ED25519, Signer, VerifierKey, read_keys
from shared import keyfiles


def make(home: Path) -> None:
    """Makes the log's keys under `home/keys` unless they are there."""
    private, public = _files(home)
    content = keyfiles.secret(private, lambda: _lines([Signer.new().private]))
    if not public.exists():
        with keyfiles.alone(private.parent):
            if not public.exists():  # else a rotation was first, and its public key must not be lost again
                keyfiles.public(public, _lines([signer.public for signer in _signers(content)]))


def signers(home: Path) -> list[Signer]:
    """The private keys that sign now, the newest first. Made on first use.

    Raises KeyFileBroken when the public key of one is not given out: nothing is signed that nobody can check.
    """
    make(home)
    private, public = _files(home)
    found = _signers(private.read_bytes())
    known = publics(home)  # read second, as it is written first
    if not found or any(signer.public not in known for signer in found):
        raise keyfiles.KeyFileBroken(
            f"{private} holds a key that {public} does not list. Put their copies back; if there are none: daohu keys rotate log --at-once"
        )
    return found


def publics(home: Path) -> list[bytes]:
    """The public keys of all that ever signed (32 bytes each), newest first. An API process reads no more than these."""
    public = _files(home)[1]
    if not public.exists():
        make(home)
    return [base64.b64decode(line) for line in public.read_bytes().split()]


def verifiers(home: Path, origin: str) -> list[VerifierKey]:
    """What checks the notes of one book's log, newest key first."""
    return [VerifierKey(origin, public, ED25519) for public in publics(home)]


def witnesses(home: Path) -> list[VerifierKey]:
    """The verifier keys of the witnesses whose signatures are handed on (`keys/witnesses.vkey`); none when there is no such file."""
    path = home / "keys" / "witnesses.vkey"
    return read_keys(path.read_text(encoding="utf-8")) if path.exists() else []


def rotate_log_key(home: Path, *, at_once: bool = False) -> bytes:
    """A new key signs from now on; the one before it signs beside it until every book has a checkpoint of both. Its public key.

    `at_once`: the key before it was stolen and signs nothing more. What it signed before must then be told from what a thief
    signs by the witnesses' signatures (docs/witness.md).
    """
    private, public = _files(home)
    make(home)
    with keyfiles.alone(private.parent):
        fresh, old = Signer.new(), _signers(private.read_bytes())
        # First the public one: nothing is signed that nobody can check.
        keyfiles.public(public, _lines([fresh.public]) + public.read_bytes())
        keyfiles.rewrite(private, _lines([signer.private for signer in [fresh, *([] if at_once else old)]]))
    return fresh.public


def hand_over(home: Path, handed: Sequence[Signer]) -> bool:
    """Forgets the keys before the newest one of `handed`; False when there was another rotation meanwhile. Raises OSError."""
    private, _ = _files(home)
    with keyfiles.alone(private.parent):
        now = _signers(private.read_bytes())
        if now[0].public != handed[0].public:
            return False
        keyfiles.rewrite(private, _lines([now[0].private]))
    return True


def _files(home: Path) -> tuple[Path, Path]:
    return home / "keys" / "funds-log.key", home / "keys" / "funds-log.pub"


def _signers(content: bytes) -> list[Signer]:
    return [Signer.of(base64.b64decode(line)) for line in content.split()]


def _lines(keys: Sequence[bytes]) -> bytes:
    return b"".join(base64.b64encode(key) + b"\n" for key in keys)
