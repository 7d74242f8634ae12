"""Copies of the working tree: whole, and with one protection turned off."""

import shutil
import subprocess
from pathlib import Path

from tests.mutants.protections import Mutant

ROOT = Path(__file__).parent.parent.parent


class Stale(Exception):
    """A mutant does not fit today's code."""


def copy_tree(to: Path) -> None:
    """What git knows of, as it lies in the working tree, with new files that nobody has added yet."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (source := ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, to / name)


def turned_off(mutant: Mutant, root: Path = ROOT) -> str:
    """The source of the mutant's file without its protection. Raises Stale."""
    source = (root / mutant.file).read_text()
    for text, instead in mutant.edits:
        if (times := source.count(text)) != 1:
            raise Stale(f"{mutant.protection}: {mutant.file} holds {text.strip()!r} {times} times, not once")
        source = source.replace(text, instead)
    compile(source, mutant.file, "exec")
    return source
