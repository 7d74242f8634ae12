"""The mutants fit today's code, and what judges them is not deceived. That each is killed: `make mutants`."""

import ast
import shutil
from pathlib import Path

import pytest

from tests.mutants.copies import ROOT, Stale, turned_off
from tests.mutants.protections import MUTANTS, NAMED, Mutant
from tests.mutants.trial import Seen, judged, run
from tests.mutants.witness import ASSERTED, PASSED

NAMED_BY_THE_ISSUE = {
    "inbox",
    "outbox order",
    "scope in counts",
    "scope in exports",
    "publicity days",
    "open objection",
    "four eyes",
    "rounding remainder",
    "idempotency hash",
    "dead-letter parking",
    "sealed-tail check",
    "send evidence",
    "masking",
    "token audience",
    "key binding",
    "row limit",
}


def test_every_protection_that_the_issue_names_has_its_mutant():
    assert {mutant.protection for mutant in NAMED} == NAMED_BY_THE_ISSUE


def test_no_two_mutants_are_for_one_protection():
    assert len({mutant.protection for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.protection)
def test_a_mutant_fits_the_code_and_names_a_test_that_asserts(mutant: Mutant):
    assert turned_off(mutant) != (ROOT / mutant.file).read_text()
    file, *names = mutant.test.partition("[")[0].split("::")
    body: list[ast.stmt] = ast.parse((ROOT / file).read_text()).body
    for name in names:
        [found] = [
            n for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and n.name == name
        ]
        body = found.body
    assert any(isinstance(inner, ast.Assert) for statement in body for inner in ast.walk(statement))


@pytest.mark.parametrize("text", ["no such text", "e"])
def test_a_text_that_is_not_there_exactly_once_is_stale(text):
    with pytest.raises(Stale, match="times, not once"):
        turned_off(Mutant("x", "shared/ids.py", ((text, ""),), ""))


TESTS = {
    "kills": "def test_it():\n    assert thing.protects()\n",
    "spares": "def test_it():\n    assert thing.protects() is not None\n",
    "cannot_import": "from shared.thing import gone\ndef test_it():\n    assert gone\n",
    "breaks_in_a_fixture": "@pytest.fixture\ndef hand():\n    assert thing.protects()\ndef test_it(hand):\n    assert hand\n",
    "breaks_in_the_code": "def test_it():\n    assert thing.asserts() is None\n",
    "expects_a_refusal": "def test_it():\n    with pytest.raises(ValueError):\n        thing.refuses()\n    assert thing\n",
}
CODE = "def protects(): return False\ndef asserts(): assert False\ndef refuses(): pass\n"


@pytest.fixture(scope="module")
def off(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Seen]:
    """A little project without its protection: where it lies, and how its tests ended."""
    root = tmp_path_factory.mktemp("off").resolve()
    shutil.copytree(ROOT / "tests" / "mutants", root / "tests" / "mutants")
    (root / "shared").mkdir()
    (root / "shared" / "__init__.py").touch()
    (root / "shared" / "thing.py").write_text(CODE)
    for name, text in TESTS.items():
        (root / f"test_{name}.py").write_text(f"import pytest\nfrom shared import thing\n{text}")
    return root, run(root, ["--continue-on-collection-errors", "."])


def verdict(copy: Path, off: Seen, name: str, before: str = PASSED) -> str:
    test = f"test_{name}.py::test_it"
    mine = {test: off.outcomes[test]} if test in off.outcomes else {}
    return judged(Mutant(name, "shared/thing.py", (), test), copy, Seen({test: before}, {}), Seen(mine, off.files))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kills", "killed"),
        ("spares", "survived"),
        ("cannot_import", "other tests ran than without the mutant"),
        ("breaks_in_a_fixture", "its test died of something else than its assertion: AssertionError in its setup"),
        ("breaks_in_the_code", "its test died of something else than its assertion: AssertionError in its call"),
        ("expects_a_refusal", "its test died of something else than its assertion: Failed in its call"),
    ],
)
def test_only_an_assertion_of_the_tests_own_kills(off, name, expected):
    assert verdict(*off, name) == expected


def test_a_test_that_fails_as_it_is_kills_nothing(off):
    assert verdict(*off, "kills", before=ASSERTED) == "its test does not pass as it is: asserted"


def test_a_test_that_was_not_run_kills_nothing(off):
    copy, seen = off
    nobody = Mutant("x", "shared/thing.py", (), "test_kills.py::test_gone")
    assert judged(nobody, copy, seen, seen) == "its test does not exist or was not run"


def test_code_from_elsewhere_kills_nothing(off):
    _, seen = off
    assert verdict(Path("/elsewhere"), seen, "kills").startswith("shared/thing.py of the copy was not imported")
