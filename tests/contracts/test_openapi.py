"""docs/openapi.json is what the routes say, and a document that is not is refused."""

from pathlib import Path
from typing import Any

import orjson
from typer.testing import CliRunner

from services.cli import app
from services.openapi import COMMITTED, of_this_code


def test_the_committed_document_is_what_the_routes_say() -> None:
    assert COMMITTED.read_bytes() == of_this_code()


def test_a_document_that_says_less_is_refused(tmp_path: Path) -> None:
    less = orjson.loads(COMMITTED.read_bytes())
    del less["paths"]["/funds/v1/sources"]
    (tmp_path / "less.json").write_bytes(orjson.dumps(less))
    for file in (tmp_path / "less.json", tmp_path / "nothing.json"):
        done = CliRunner().invoke(app, ["openapi", "--check", str(file)])
        assert (done.exit_code, "make contracts" in done.stderr) == (1, True)


def test_every_schema_that_is_named_is_there() -> None:
    """The four documents were joined under names of their own: no reference leads nowhere."""
    text = COMMITTED.read_text(encoding="utf-8")
    schemas = orjson.loads(text)["components"]["schemas"]
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named
    assert named <= schemas.keys()


def unbounded(schema: Any) -> bool:
    """Whether a number of this schema may be of any size."""
    if isinstance(schema, list):
        return any(map(unbounded, schema))
    if not isinstance(schema, dict):
        return False
    return (schema.get("type") == "integer" and "maximum" not in schema) or any(map(unbounded, schema.values()))


def test_every_number_that_comes_in_has_a_bound() -> None:
    """PostgreSQL refuses to compare a column with a number that it cannot hold, SQLite finds nothing."""
    document = orjson.loads(COMMITTED.read_bytes())
    operations = {f"{m} {path}": op for path, ops in document["paths"].items() for m, op in ops.items()}
    given = {f"{at} {p['name']}": p["schema"] for at, op in operations.items() for p in op.get("parameters", ())}
    taken = {name: schema for name, schema in document["components"]["schemas"].items() if name.endswith("In")}
    assert len(given) > 100
    assert [name for name, schema in (given | taken).items() if unbounded(schema)] == []
