"""docs/rules.csv: one row for each rule of the seeds, and no rule is called done without a test that carries its id."""

import ast
import csv
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLUMNS = ["rule", "service", "mechanism", "where", "test", "state"]
COUNTS = {"REG": 155, "FND": 77, "ASM": 68, "NTF": 16, "XC": 9}
"""How many rules policy-rules.md has under each prefix, numbered from 001 without gaps: 325 in all."""
SERVICES = {"REG": "registry", "FND": "funds", "ASM": "assessment", "NTF": "notify", "XC": "shared"}
MECHANISMS = {
    "case", "checklist", "action_item", "target", "policy",  # the five of architecture.md 6
    "ledger", "record", "event", "sms", "role", "import", "statistics", "none",
}  # fmt: skip
STATES = {"planned", "partial", "done", "context"}


def rows() -> list[dict[str, str]]:
    with (ROOT / "docs" / "rules.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == COLUMNS
        return list(reader)


def marked(source: str) -> set[str]:
    """The rule ids in `pytest.mark.rule("…")` of a test module, on functions, classes, parameters or `pytestmark`."""
    return {
        argument.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "rule"
        and isinstance(node.func.value, ast.Attribute)
        and node.func.value.attr == "mark"
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


@pytest.fixture(scope="module")
def proofs() -> dict[str, set[str]]:
    """Rule id → the test files that carry it."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "tests").rglob("*.py"):
        for rule in marked(path.read_text(encoding="utf-8")):
            found[rule].add(path.relative_to(ROOT).as_posix())
    return found


def places(cell: str) -> list[str]:
    """The paths in a cell: separated by spaces, each perhaps with ::name behind it."""
    return [place.partition("::")[0] for place in cell.split()]


def test_every_rule_has_exactly_one_row():
    expected = [f"{prefix}-{n:03d}" for prefix, count in COUNTS.items() for n in range(1, count + 1)]
    assert [row["rule"] for row in rows()] == expected
    assert len(expected) == 325


def test_every_row_speaks_the_vocabulary():
    for row in rows():
        assert row["service"] == SERVICES[row["rule"].partition("-")[0]], row
        assert row["mechanism"] in MECHANISMS, row
        assert row["state"] in STATES, row


def test_context_is_what_asks_for_no_software():
    assert {r["rule"] for r in rows() if r["state"] == "context"} == {
        r["rule"] for r in rows() if r["mechanism"] == "none"
    }
    assert Counter(row["state"] for row in rows())["context"] == 6


def test_what_is_done_or_begun_says_where():
    for row in rows():
        if row["state"] in ("done", "partial"):
            assert places(row["where"]), row
            assert [place for place in places(row["where"]) if not (ROOT / place).exists()] == [], row


def test_no_rule_is_done_without_a_test_that_carries_its_id(proofs):
    assert [row["rule"] for row in rows() if row["state"] == "done" and row["rule"] not in proofs] == []


def test_a_named_test_exists_and_carries_the_rule(proofs):
    for row in rows():
        if row["state"] == "done":
            assert row["test"], row
        assert [place for place in places(row["test"]) if place not in proofs[row["rule"]]] == [], row


def test_no_test_carries_a_rule_that_does_not_exist(proofs):
    assert set(proofs) - {row["rule"] for row in rows()} == set()


def test_the_scan_finds_every_way_of_marking():
    source = """
import pytest
pytestmark = [pytest.mark.rule("REG-001")]
@pytest.mark.rule("REG-002", "REG-003")
def test_a(): ...
@pytest.mark.rule("REG-004")
class TestB:
    @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.rule("REG-005"))])
    async def test_b(self, x): ...
# pytest.mark.rule("REG-006") in a comment does not count
"""
    assert marked(source) == {f"REG-00{n}" for n in range(1, 6)}
    assert all(re.fullmatch(r"REG-\d{3}", rule) for rule in marked(source))
