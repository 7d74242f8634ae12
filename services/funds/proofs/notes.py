"""Signed notes, checkpoints and proofs as texts, exactly as C2SP writes them, so that other tools of that family check ours.

Source: c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature, c2sp.org/tlog-proof@v1. Reading is strict: a text that would not be
written the same way again is refused, so no byte of one can change unseen.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared import keyfiles

ED25519, COSIGNATURE = b"\x01", b"\x04"
"""What a key is for: signing notes of its own log, or witnessing those of others with the time (cosignature/v1)."""

PROOF_HEADER = "c2sp.org/tlog-proof@v1"
MAX_SIGNATURES = 16
MAX_NOTE_BYTES = 64 << 10
MAX_PATH = 64
"""Hashes of an inclusion proof: enough for 2^64 entries."""


class BadNote(ValueError):
    """A text that is not what it should be, or that no known key has signed."""


class NotSigned(BadNote):
    """A note in which nothing is wrong, but none of the known keys has signed it."""


def _key_id(name: str, kind: bytes, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + kind + public).digest()[:4]


def _witnessed(text: str, at: int) -> bytes:
    """What a witness signs of a checkpoint: the time, in seconds since 1970, and its text."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def _name_ok(name: str) -> bool:
    return bool(name) and "+" not in name and not any(character.isspace() or character < " " for character in name)


def strict_base64(text: str) -> bytes:
    """Raises BadNote unless `text` is the one way to write these bytes."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if base64.b64encode(data).decode() != text:
        raise BadNote("that is not base64")
    return data


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name: `name+keyid+base64(kind ‖ 32 bytes)`; the kind is 1 for a log's key, 4 for a witness's."""

    name: str
    public: bytes
    kind: bytes = ED25519

    @property
    def id(self) -> bytes:
        return _key_id(self.name, self.kind, self.public)

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(self.kind + self.public).decode()}"

    def check(self, signature: bytes, text: str) -> None:
        """Raises InvalidSignature unless it is this key's signature of the text; a witness's begins with its time (8 bytes)."""
        said = text.encode()
        if self.kind == COSIGNATURE:
            said, signature = _witnessed(text, int.from_bytes(signature[:8], "big")), signature[8:]
        Ed25519PublicKey.from_public_bytes(self.public).verify(signature, said)

    @classmethod
    def read(cls, text: str) -> "VerifierKey":
        """Raises BadNote when it is no verifier key of a log or a witness, or its id does not fit."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        data = strict_base64(encoded)
        if not _name_ok(name) or len(data) != 33 or data[:1] not in (ED25519, COSIGNATURE):
            raise BadNote("a verifier key reads name+id+base64 and is Ed25519")
        key = cls(name, data[1:], data[:1])
        if key.id.hex() != key_id:
            raise BadNote(f"the id of the verifier key {name} does not fit the key")
        return key


def read_keys(text: str) -> list[VerifierKey]:
    """The verifier keys of a key file, one a line. Raises BadNote when there is none."""
    keys = [VerifierKey.read(line.strip()) for line in text.splitlines() if line.strip()]
    if not keys:
        raise BadNote("the key file holds no verifier key")
    return keys


class Signer:
    """A private key. The log's signs for every book, each under a name (origin) of its own; a witness's under its own name."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    @classmethod
    def new(cls) -> "Signer":
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def of(cls, private: bytes) -> "Signer":
        """From the 32 bytes of its private key."""
        return cls(Ed25519PrivateKey.from_private_bytes(private))

    @classmethod
    def at(cls, path: Path) -> "Signer":
        """Reads the key file (32 bytes, base64), or makes it on first use, readable by its owner only."""
        return cls.of(base64.b64decode(keyfiles.secret(path, lambda: base64.b64encode(cls.new().private) + b"\n")))

    @property
    def private(self) -> bytes:
        return self._private.private_bytes_raw()

    def verifier(self, name: str, kind: bytes = ED25519) -> VerifierKey:
        return VerifierKey(name, self.public, kind)

    def sign(self, text: str, name: str) -> str:
        """The text as a note with our signature under `name`."""
        signature = _key_id(name, ED25519, self.public) + self._private.sign(text.encode())
        return f"{text}\n{_line(name, signature)}"

    def cosign(self, text: str, name: str, at: int) -> str:
        """The line by which a witness adds its signature to a note of this text, at a time in seconds since 1970."""
        signature = at.to_bytes(8, "big") + self._private.sign(_witnessed(text, at))
        return _line(name, _key_id(name, COSIGNATURE, self.public) + signature)


def sign(text: str, name: str, signers: Sequence[Signer]) -> str:
    """The text as a note with a signature line of each of the signers, under one name."""
    first, *others = signers
    return first.sign(text, name) + "".join(other.sign(text, name).rpartition("\n\n")[2] for other in others)


def _line(name: str, signature: bytes) -> str:
    return f"— {name} {base64.b64encode(signature).decode()}\n"


def open_note(note: str, keys: Iterable[VerifierKey]) -> str:
    """The text of a note that one of the keys has signed.

    Signatures of unknown keys are passed over; a wrong one of a known key refuses the note. Raises BadNote, NotSigned.
    """
    try:
        size = len(note.encode())
    except UnicodeEncodeError:
        raise BadNote("the note is not UTF-8") from None
    if size > MAX_NOTE_BYTES or any(character < " " and character != "\n" for character in note):
        raise BadNote("the note is too long or holds control characters")
    text, separator, signatures = note.rpartition("\n\n")
    *lines, end = signatures.split("\n")
    if not separator or not lines or end or len(lines) > MAX_SIGNATURES:
        raise BadNote("the note carries no signature lines")
    text += "\n"
    known = {(key.name, key.id): key for key in keys}
    signed = False
    for line in lines:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        signature = strict_base64(encoded)
        if dash != "—" or not _name_ok(name) or len(signature) < 5:
            raise BadNote("a signature line reads — name base64")
        if (key := known.get((name, signature[:4]))) is None:
            continue
        try:
            key.check(signature[4:], text)
        except InvalidSignature:
            raise BadNote(f"the signature of {name} is wrong") from None
        signed = True
    if not signed:
        raise NotSigned("no known key has signed this note")
    return text


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How long a log is and what it holds (存证检查点): its origin, size and Merkle root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def read(cls, text: str) -> "Checkpoint":
        """From the text of an opened note. Raises BadNote; extension lines are refused, ours have none."""
        try:
            origin, size, root, end = text.split("\n")
        except ValueError:
            raise BadNote("a checkpoint has three lines: origin, size, root") from None
        checkpoint = cls(origin, _decimal(size), strict_base64(root))
        if end or not origin or len(checkpoint.root) != 32:
            raise BadNote("a checkpoint has three lines: origin, size, root")
        return checkpoint


def read_unsigned(note: str) -> Checkpoint:
    """The checkpoint of a note whose signature is not checked: for one kept as a witness, when no key is given."""
    return Checkpoint.read(text_of(note))


def text_of(note: str) -> str:
    """What a note says, without its signatures; nothing is checked."""
    return note.rpartition("\n\n")[0] + "\n"


def open_checkpoint(note: str, keys: Iterable[VerifierKey]) -> Checkpoint:
    """The checkpoint that a key named like its origin has signed. Raises BadNote."""
    origin = note.partition("\n")[0]
    return Checkpoint.read(open_note(note, [key for key in keys if key.name == origin and key.kind == ED25519]))


def is_signed_by(key: VerifierKey, note: str) -> bool:
    """Whether this key has signed the note."""
    try:
        open_note(note, [key])
    except BadNote:
        return False
    return True


def require_witness(note: str, witnesses: Iterable[VerifierKey]) -> None:
    """Raises BadNote unless one of these witnesses has signed the note."""
    try:
        open_note(note, [key for key in witnesses if key.kind == COSIGNATURE])
    except BadNote as error:
        raise BadNote(f"no witness stands for this checkpoint: {error}") from None


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0") or len(text) > 19:
        raise BadNote(f"{text[:20]!r} is not a number")
    return int(text)


@dataclass(frozen=True, slots=True)
class Proof:
    """That an entry stands at `index` in the log under a checkpoint (存证证明), as a text that checks offline."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: str

    def text(self) -> str:
        lines = [PROOF_HEADER, f"index {self.index}", *(base64.b64encode(hash).decode() for hash in self.path)]
        return "\n".join(lines) + "\n\n" + self.checkpoint

    @classmethod
    def read(cls, text: str) -> "Proof":
        """Raises BadNote. `extra` lines are refused: ours have none, and nothing would bind them."""
        head, separator, checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        if not separator or len(lines) < 2 or lines[0] != PROOF_HEADER or not lines[1].startswith("index "):
            raise BadNote("a proof begins with its header and an index")
        path: Sequence[bytes] = [strict_base64(line) for line in lines[2:]]
        if len(path) > MAX_PATH or any(len(hash) != 32 for hash in path):
            raise BadNote("a proof has at most 64 hashes of 32 bytes")
        return cls(_decimal(lines[1].removeprefix("index ")), tuple(path), checkpoint)
