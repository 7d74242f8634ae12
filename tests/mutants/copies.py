"""Copies of the working tree: whole, and with one protection turned off."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from tests.mutants.protections import Mutant

ROOT = Path(__file__).parent.parent.parent


class Stale(Exception):
    """A mutant does not fit today's code."""


def tree() -> list[Path]:
    """The files of the working tree, as paths in it: what git knows of, and new ones that nobody has added yet.

    Without a repository (an unpacked archive) all that .gitignore does not name.
    """
    ignored = [".git", *(line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines())]
    known = _known_to_git() if (ROOT / ".git").exists() and shutil.which("git") else []
    return [path for path in known or _below(Path(), ignored) if (ROOT / path).is_file()]


def _known_to_git() -> list[Path]:
    """Empty when git does not want to (the checkout is another user's)."""
    line = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(line, cwd=ROOT, stdout=subprocess.PIPE, check=False).stdout.decode()
    return [Path(name) for name in listed.split("\0") if name]


def _below(folder: Path, ignored: Sequence[str]) -> Iterator[Path]:
    for entry in sorted((ROOT / folder).iterdir()):
        path = folder / entry.name
        if any(fnmatch(entry.name, pattern) or fnmatch(str(path), pattern) for pattern in ignored):
            continue
        if entry.is_dir():
            yield from _below(path, ignored)
        else:
            yield path


def copy_tree(to: Path) -> None:
    """The working tree as it lies there."""
    for path in tree():
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, to / path)


def turned_off(mutant: Mutant, root: Path = ROOT) -> str:
    """The source of the mutant's file without its protection. Raises Stale."""
    source = (root / mutant.file).read_text()
    for text, instead in mutant.edits:
        if (times := source.count(text)) != 1:
            raise Stale(f"{mutant.protection}: {mutant.file} holds {text.strip()!r} {times} times, not once")
        source = source.replace(text, instead)
    compile(source, mutant.file, "exec")
    return source
