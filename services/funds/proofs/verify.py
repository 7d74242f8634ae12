"""The verifier (验证): a bundle against the log's public key, without network or database. Says which entry is wrong.

What is checked of an entry: its record hashes to the leaf that its proof leads to the signed root; its link follows from its
body and the link before; its postings conserve every fund; and every byte of the file is what these contents make it.
"""

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from services.funds.ledger import domain
from services.funds.proofs import bundle, merkle
from services.funds.proofs.notes import BadNote, Checkpoint, Proof, VerifierKey, open_checkpoint, require_witness

MAX_MEMBER_BYTES = 64 << 20
FRAME_FLIPS = 16
"""A zip whose frame differs from ours in no more bytes than this was damaged; in more, somebody packed the same members anew."""

OK, WRONG, TRUNCATED = 0, 1, 2
"""Exit codes: all right · something was changed · fewer entries than the checkpoint says."""


@dataclass(frozen=True, slots=True)
class Problem:
    """`entry` is its number in the book; None when the problem is not one entry's."""

    entry: int | None
    what: str

    def __str__(self) -> str:
        return f"entry {self.entry}: {self.what}" if self.entry is not None else self.what


@dataclass(slots=True)
class Report:
    """What a verification found. `entries` are the numbers that were checked; `notes` are worth saying and not wrong."""

    checkpoint: Checkpoint | None = None
    entries: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    truncated_at: int | None = None

    def wrong(self, entry: int | None, what: str) -> None:
        self.problems.append(Problem(entry, what))

    @property
    def exit_code(self) -> int:
        if self.truncated_at is not None:
            return TRUNCATED
        return WRONG if self.problems else OK


class BadRecord(ValueError):
    """A record that is not what the log's records are."""


@dataclass(frozen=True, slots=True)
class Record:
    seq: int
    prev: bytes
    link: bytes
    body: bytes
    said: dict[str, Any]


def read_record(data: bytes) -> Record:
    """Reads a leaf record strictly: it must be written exactly as the ledger writes it. Raises BadRecord."""
    try:
        read = orjson.loads(data)
        body = domain.canonical(read["body"])
        record = Record(read["seq"], bytes.fromhex(read["prev"]), bytes.fromhex(read["link"]), body, read["body"])
        same = domain.record(record.seq, record.prev, record.link, body) == data
        sums: dict[str, int] = {}
        for posting in record.said["postings"]:
            sums[posting["earmark"]] = sums.get(posting["earmark"], 0) + posting["amount_fen"]
    except (ValueError, TypeError, KeyError, domain.EntryMalformed):
        raise BadRecord("its record cannot be read") from None
    if not same:
        raise BadRecord("its record is not written the canonical way")
    if record.seq < 1 or record.link != domain.link(record.prev, record.seq, domain.digest_of(body)):
        raise BadRecord("its link does not follow from its body")
    if any(sums.values()):
        raise BadRecord("its postings do not add up to zero for each fund")
    return record


def verify_bundle(path: Path, keys: Sequence[VerifierKey], witnesses: Sequence[VerifierKey] = ()) -> Report:
    """Checks a bundle against the verifier keys of its log, and of witnesses, one of which must have signed its checkpoint.

    Raises OSError when the file cannot be read.
    """
    report = Report()
    if path.stat().st_size > bundle.MAX_BUNDLE_BYTES:
        report.wrong(None, f"the file is larger than {bundle.MAX_BUNDLE_BYTES} bytes: not a bundle")
        return report
    data = path.read_bytes()
    members, damaged = _members(data)
    numbers = sorted({seq for name in [*members, *damaged] if (seq := bundle.entry_named(name)) is not None})
    try:
        note = members[bundle.CHECKPOINT].decode()
        report.checkpoint = open_checkpoint(note, keys)
        if witnesses:
            require_witness(note, witnesses)
    except KeyError:
        _wrong_for_all(report, numbers, "the checkpoint it stands under is missing or damaged")
        return report
    except (BadNote, UnicodeDecodeError) as error:
        _wrong_for_all(report, numbers, f"the checkpoint it stands under cannot be trusted: {error}")
        return report
    links = {0: domain.genesis(report.checkpoint.origin.rpartition("/")[2]).link}
    for seq in numbers:
        record, proof = members.get(bundle.record_name(seq)), members.get(bundle.proof_name(seq))
        report.entries.append(seq)
        if record is None or proof is None:
            report.wrong(seq, "its record or its proof is missing or damaged")
        elif what := _entry_problem(seq, record, proof, note, report.checkpoint, links):
            report.wrong(seq, what)
    if not numbers:
        report.wrong(None, "there is no entry in it")
    _check_manifest(report, members, damaged)
    if not report.problems:
        _check_frame(report, data, members)
    return report


def _wrong_for_all(report: Report, numbers: Sequence[int], what: str) -> None:
    for seq in numbers:
        report.wrong(seq, what)
    if not numbers:
        report.wrong(None, what)


def _entry_problem(
    seq: int, data: bytes, proof_data: bytes, note: str, checkpoint: Checkpoint, links: dict[int, bytes]
) -> str | None:
    """What is wrong with an entry of a bundle, or None; remembers its link for the entry after it."""
    try:
        record = read_record(data)
        proof = Proof.read(proof_data.decode())
    except BadRecord as error:
        return str(error)
    except (BadNote, UnicodeDecodeError) as error:
        return f"its proof cannot be read: {error}"
    links[seq] = record.link
    if record.seq != seq or proof.index != seq - 1:
        return "its record, its proof and its file name do not mean the same entry"
    if record.said.get("book") != checkpoint.origin.rpartition("/")[2]:
        return f"it is of another book than {checkpoint.origin}"
    if seq - 1 in links and links[seq - 1] != record.prev:
        return "it does not follow the entry before it"
    if proof.checkpoint != note:
        return "its proof ends in another checkpoint"
    if not merkle.verify_inclusion(proof.index, checkpoint.size, merkle.leaf_hash(data), proof.path, checkpoint.root):
        return "its record is not the one under the signed root"
    return None


def _members(data: bytes) -> tuple[dict[str, bytes], set[str]]:
    """The files in the zip, and the names of those that cannot be read."""
    members: dict[str, bytes] = {}
    damaged: set[str] = set()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if info.filename in members or info.file_size > MAX_MEMBER_BYTES:
                    damaged.add(info.filename)
                    continue
                try:
                    members[info.filename] = archive.read(info)
                except Exception:  # zlib, struct, zipfile … each has its own
                    damaged.add(info.filename)
    except Exception:  # no zip at all, or one whose directory is broken: any of the same errors
        members.clear()
    if not any(bundle.entry_named(name) for name in members):
        # A zip without a good directory: the names inside it still say which entries it was about.
        damaged.update(name.decode() for name in re.findall(rb"records/\d{12}\.json", data))
    return members, damaged


def _check_manifest(report: Report, members: dict[str, bytes], damaged: set[str]) -> None:
    assert report.checkpoint is not None
    known = {bundle.CHECKPOINT, bundle.MANIFEST}
    for seq in report.entries:
        known |= {bundle.record_name(seq), bundle.proof_name(seq)}
    for name in sorted((set(members) | damaged) - known):
        about = bundle.entry_named(name)
        _wrong_for_all(report, report.entries if about is None else [about], f"{name!r} does not belong in its bundle")
    if report.problems:
        return
    expected, found = bundle.manifest(report.checkpoint, report.entries, members), members.get(bundle.MANIFEST, b"")
    if expected != found:
        lines = zip(report.entries, expected.splitlines()[1:], found.splitlines()[1:], strict=False)
        named = [seq for seq, ours, theirs in lines if ours.rstrip(b",") != theirs.rstrip(b",")]
        _wrong_for_all(report, named[:1] or report.entries, "the manifest says otherwise")


def _check_frame(report: Report, data: bytes, members: dict[str, bytes]) -> None:
    """The zip around good contents: ours to the byte, or packed anew by somebody, but not ours with a few bytes changed."""
    ours = bundle.pack(members)
    if ours == data:
        return
    differing = [at for at, (a, b) in enumerate(zip(ours, data, strict=False)) if a != b]
    if len(ours) != len(data) or len(differing) > FRAME_FLIPS:
        report.notes.append("the zip was packed anew; its contents are unchanged")
        return
    with zipfile.ZipFile(io.BytesIO(ours)) as archive:
        infos = archive.infolist()
    before = [info for info in infos if info.header_offset <= differing[0]]
    central = differing[0] - _directory_at(ours)
    for info in infos if central >= 0 else []:
        length = 46 + len(info.filename)
        if central < length:
            before = [info]
            break
        central -= length
    seq = bundle.entry_named(before[-1].filename)
    what = f"the zip was changed at byte {differing[0]}, beside {before[-1].filename}"
    _wrong_for_all(report, report.entries if seq is None else [seq], what)


def _directory_at(data: bytes) -> int:
    """Where the zip's central directory begins, from its last record (no comment: 22 bytes)."""
    return int.from_bytes(data[-6:-2], "little")
