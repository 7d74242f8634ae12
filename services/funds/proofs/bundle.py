"""The bundle (存证包): a zip of records, their proofs and the checkpoint, that anyone can check without us. Pure.

Everything in it can be recomputed from its records and proofs, and the zip itself is written one way only, so whoever checks
it compares the whole file, byte by byte.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence

import orjson

from services.funds.proofs.notes import Checkpoint, Proof

MAX_ENTRIES = 5_000
"""Entries of one bundle, at most."""

MAX_BUNDLE_BYTES = 256 << 20
"""Nothing larger is made or checked."""

MANIFEST = "MANIFEST.json"
CHECKPOINT = "checkpoint"
FORMAT = "daohu-bundle/1"
_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest date a zip can carry, in every member: a bundle of the same entries is the same file."""


def record_name(seq: int) -> str:
    return f"records/{seq:012d}.json"


def proof_name(seq: int) -> str:
    return f"proofs/{seq:012d}.tlog-proof"


def entry_named(member: str) -> int | None:
    """The entry that a member of the zip is about, by its name; None for the manifest and the checkpoint."""
    number = member.rpartition("/")[2].partition(".")[0]
    return int(number) if "/" in member and number.isascii() and number.isdigit() else None


def compose(checkpoint: Checkpoint, note: str, records: Mapping[int, bytes], proofs: Mapping[int, Proof]) -> bytes:
    """The zip over these entries (by number): `records` are leaf records, `note` the signed checkpoint all proofs end in."""
    members = {CHECKPOINT: note.encode()}
    for seq in sorted(records):
        members[record_name(seq)] = records[seq]
        members[proof_name(seq)] = proofs[seq].text().encode()
    members[MANIFEST] = manifest(checkpoint, sorted(records), members)
    return pack(members)


def manifest(checkpoint: Checkpoint, seqs: Sequence[int], members: Mapping[str, bytes]) -> bytes:
    """What the zip holds, with a hash of each member: one line an entry, so that people can read it too."""
    head = {
        "format": FORMAT,
        "log": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "checkpoint_sha256": _sha256(members[CHECKPOINT]),
    }
    lines = [
        {
            "seq": seq,
            "index": seq - 1,
            "record_sha256": _sha256(members[record_name(seq)]),
            "proof_sha256": _sha256(members[proof_name(seq)]),
        }
        for seq in seqs
    ]
    entries = b",\n".join(orjson.dumps(line) for line in lines)
    return orjson.dumps(head)[:-1] + b',"entries":[\n' + entries + b"\n]}\n"


def pack(members: Mapping[str, bytes]) -> bytes:
    """The zip of these members, always the same bytes for the same members: sorted, stored, undated."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as zip:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr = 3, 0o100644 << 16
            zip.writestr(info, members[name])
    return file.getvalue()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
