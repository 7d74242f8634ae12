"""docs/security.md: each protection's test exists, and each mutant stands beside the test that kills it."""

import ast
import re

import pytest

from tests.integration.composed import ROOT
from tests.mutants.protections import MUTANTS

PAGE = (ROOT / "docs" / "security.md").read_text()
TESTS = sorted(set(re.findall(r"`(tests/[^`\s]+\.py(?:::[^`\s]+)?)`", PAGE)))
ACTORS = (
    "Outsider",
    "Mobile backend",
    "Village clerk",
    "County administrator",
    "Insider with SQL",
    "Operator with root",
    "Auditor",
    "Lost laptop",
    "False SMS",
    "Extortion",
    "Supply chain",
    "A bad release",
)


@pytest.mark.parametrize("test", TESTS)
def test_a_named_test_exists(test: str) -> None:
    file, *names = test.split("::")
    body: list[ast.stmt] = ast.parse((ROOT / file).read_text()).body
    for name in names:
        [found] = [
            n for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and n.name == name
        ]
        body = found.body


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.protection)
def test_a_mutant_stands_beside_the_test_that_kills_it(mutant) -> None:
    assert f"`{mutant.test.partition('[')[0]}` **M** {mutant.protection}" in PAGE


def test_no_mutant_is_claimed_that_is_not_there() -> None:
    claimed = re.findall(r"\*\*M\*\* ([a-z -]+[a-z])", PAGE.split("## What is worth protecting")[1])
    assert sorted(claimed) == sorted(mutant.protection for mutant in MUTANTS)


@pytest.mark.parametrize("actor", ACTORS)
def test_every_actor_has_threats_with_their_tests(actor: str) -> None:
    [section] = [part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE) if part.startswith(actor)]
    rows = [line for line in section.splitlines()[4:] if line.startswith("|")]
    assert len(rows) >= 4
    assert [row for row in rows if "`tests/" not in row.split(" | ")[2]] == []
