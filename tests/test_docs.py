"""What people read: links lead somewhere, tables hold together, commands and options exist, so do settings and targets of make."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from services.catalogue import NAMES, part
from services.cli import app

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/decisions/*.md"), ROOT / "bench/README.md"]
)
NAMED = [page for page in PAGES if page.parent.name != "decisions" and page.name != "CHANGELOG.md"]
"""Pages that say what to do now; decisions and the changelog say what was."""

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"(?:^\|.*\n?)+", re.MULTILINE)
BAR = re.compile(r"(?<!\\)\|")
CODE = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"(?:^|[\s/(\"])(?:daohu|migrate|worker>) ((?:--)?(?:[a-z]+[a-z-]* ?)+[^|;&#`()\n]*)")

COMMANDS = typer.main.get_command(app)
VARIABLE = re.compile(r"DAOHU_[A-Z_]+[A-Z]")
CODE_OF_OURS = [
    path for folder in ("shared", "services", "demo", "bench") for path in ROOT.joinpath(folder).rglob("*.py")
]
SETTINGS = frozenset(
    f"DAOHU_{field.upper()}" for name in NAMES for field in part(name).settings.model_fields
) | frozenset(
    name
    for path in [*CODE_OF_OURS, ROOT / "docker-compose.yml"]
    for name in VARIABLE.findall(path.read_text(encoding="utf-8"))
)
TARGETS = frozenset(re.findall(r"^([a-z-]+):", ROOT.joinpath("Makefile").read_text(), re.MULTILINE))


def _anchors(page: Path) -> frozenset[str]:
    """As the forges make them: lower case, words joined by hyphens, punctuation left out."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            lost.append(target)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_row_of_a_table_has_the_cells_of_its_head(page: Path) -> None:
    """A bare | within a cell, in code too, begins another one where pages are rendered."""
    wrong = []
    for table in TABLE.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        head, *rows = table.splitlines()
        wrong += [row for row in rows if len(BAR.findall(row)) != len(BAR.findall(head))]
    assert wrong == []


def _said(page: Path) -> str:
    """What stands as code on a page: fenced blocks, with their continued lines joined, and what is between backticks."""
    text = page.read_text(encoding="utf-8")
    fenced = "\n".join(FENCE.findall(text)).replace("\\\n", " ")
    return "\n".join([fenced, *CODE.findall(FENCE.sub("", text))])


def _wrong(words: list[str]) -> str:
    """What is wrong with the words of a command: nothing, or the word that nobody knows."""
    command = COMMANDS
    while words and isinstance(command, TyperGroup) and not words[0].startswith("--"):
        choices = words.pop(0).split("|")
        if any(choice not in command.commands for choice in choices):
            return f"no command {choices}"
        command = command.commands[choices[0]]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return ", ".join(
        word for word in words if word.startswith("--") and word.partition("=")[0] not in {*known, "--help"}
    )


@pytest.mark.parametrize("page", NAMED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_exists(page: Path) -> None:
    wrong = []
    for found in COMMAND.findall(_said(page)):
        words = [
            word for word in shlex.split(found.replace("…", " ").replace("'", " "), posix=False) if word not in "[]"
        ]
        if words and words[0].split("|")[0].strip("-").isalpha() and (what := _wrong(list(words))):
            wrong.append(f"daohu {found}: {what}")
    assert wrong == []


@pytest.mark.parametrize("page", NAMED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_and_target_exists(page: Path) -> None:
    said = _said(page)
    settings = set(VARIABLE.findall(said)) - SETTINGS
    targets = set(re.findall(r"(?:^|\s)make ([a-z-]+)", said)) - TARGETS
    assert (settings, targets) == (set(), set())


def test_every_target_of_make_says_what_it_does() -> None:
    assert re.findall(r"^([a-z-]+):(?!.*## .)", ROOT.joinpath("Makefile").read_text(), re.MULTILINE) == []
