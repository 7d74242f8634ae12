"""Checkpoints that somebody kept outside, as a restore reads them: files, or the folder of `daohu witness`."""

from pathlib import Path

import pytest

from services.backup import witnessed
from services.backup.manifest import Book
from services.backup.witnessed import Loss
from services.funds.proofs.notes import COSIGNATURE, BadNote, Checkpoint, Signer, text_of

LOG, WITNESS = Signer.new(), Signer.new()
NAME = "audit.example/daohu"
OF_WITNESS = WITNESS.verifier(NAME, COSIGNATURE)


def origin(book: str) -> str:
    return f"daohu.local/funds/{book}"


def signed(book: str, size: int) -> str:
    return LOG.sign(Checkpoint(origin(book), size, bytes(32)).text(), origin(book))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As a witness keeps two books, with all that lies beside."""
    for book, sizes in {"610926": (3, 20, 100), "610927": (7,)}.items():
        for name in ("checkpoints", "stamps", "refused"):
            (tmp_path / book / name).mkdir(parents=True)
        for size in sizes:
            (tmp_path / book / "checkpoints" / f"{size:012d}.txt").write_text(signed(book, size))
        (tmp_path / book / "leaves").write_bytes(b"x" * 32)
        (tmp_path / book / "refused" / "a.txt").write_text("a fork")
    (tmp_path / "witness.vkey").write_text(f"{OF_WITNESS}\n")
    return tmp_path


def test_a_witness_folder_is_read_book_by_book(folder: Path) -> None:
    sizes = [(witnessed.book_of(checkpoint), checkpoint.size) for checkpoint, _ in witnessed.read([folder], [])]
    assert sizes == [("610926", 3), ("610926", 20), ("610926", 100), ("610927", 7)]


def test_the_longest_checkpoint_of_a_book_says_what_is_missing(folder: Path) -> None:
    checkpoints = [checkpoint for checkpoint, _ in witnessed.read([folder], [])]
    books = {"610926": Book(seq=40, link="", checkpoint=""), "610928": Book(seq=1, link="", checkpoint="")}
    assert witnessed.losses(checkpoints, books) == [Loss("610926", 40, 100), Loss("610927", 0, 7)]
    assert witnessed.losses(checkpoints[:2], books) == []


def test_a_checkpoint_that_the_log_has_not_signed_is_refused(folder: Path) -> None:
    keys = [LOG.verifier(origin(book)) for book in ("610926", "610927")]
    assert len(witnessed.read([folder], keys)) == 4
    with pytest.raises(BadNote, match="610927"):
        witnessed.read([folder], [keys[0], Signer.new().verifier(origin("610927"))])


def test_a_checkpoint_that_the_witness_has_not_signed_is_refused(folder: Path, tmp_path: Path) -> None:
    note = signed("610926", 120)
    line = WITNESS.cosign(text_of(note), NAME, 1_478_250_000)
    (tmp_path / "cosigned.txt").write_text(note + line)
    assert len(witnessed.read([tmp_path / "cosigned.txt"], [], [OF_WITNESS])) == 1
    with pytest.raises(BadNote, match="no witness stands for"):
        witnessed.read([folder], [], [OF_WITNESS])


def test_a_folder_without_checkpoints_is_no_witness(tmp_path: Path) -> None:
    with pytest.raises(BadNote, match="no checkpoint in this folder"):
        witnessed.read([tmp_path], [])
