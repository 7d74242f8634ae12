"""docs/map.md names every room and module with the first line of its docstring."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAP = (ROOT / "docs" / "map.md").read_text()
PLACES = sorted(
    path
    for pattern in (
        "services/*/*/__init__.py",
        "services/*.py",
        "shared/*.py",
        "shared/*/__init__.py",
        "demo/*.py",
        "demo/*/__init__.py",
    )
    for path in ROOT.glob(pattern)
    if path.parent.name not in ("services", "shared", "demo") or path.name != "__init__.py"
)


@pytest.mark.parametrize("path", PLACES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_map_names_it(path):
    first = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0].rstrip(".")
    assert first, "it does not say what it is"
    name = f"{path.parent.name}/" if path.name == "__init__.py" else path.name
    assert f"| `{name}` | {first} |" in MAP


def test_no_source_file_outgrows_its_room():
    long = {
        str(p.relative_to(ROOT)): n
        for folder in ("services", "shared", "demo")
        for p in ROOT.joinpath(folder).rglob("*.py")
        if (n := len(p.read_text().splitlines())) > 500
    }
    assert long == {}
