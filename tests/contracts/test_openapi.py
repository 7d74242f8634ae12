"""docs/openapi.json is what the routes say, and a document that is not is refused."""

from pathlib import Path

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
