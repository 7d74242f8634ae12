"""docs/asyncapi.yaml: valid AsyncAPI 3, made from the contracts, true of what is really sent."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from shared import dead_letters, tables
from shared.bus import MAX_MESSAGE_BYTES, Record
from shared.db import Database
from shared.events import asyncapi
from shared.events.base import REGISTRY, Envelope
from shared.ids import new_id
from shared.topics import all_topics, group_of

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "shared" / "events" / "examples"
SCHEMA = ROOT / "tests" / "data" / "asyncapi-3.0.0.json"
NOW = datetime(2016, 11, 7, 1, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docs" / asyncapi.FILE).read_text())


def satisfies(document: dict[str, Any], thing: object, schema: str) -> None:
    """Judges a thing by a schema within the document. Raises ValidationError."""
    jsonschema.Draft7Validator({**document, "$ref": schema}, format_checker=jsonschema.FormatChecker()).validate(thing)


def refs(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from ([node["$ref"]] if isinstance(node.get("$ref"), str) else [])
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from refs(inner)


def test_the_committed_document_is_what_the_contracts_say():
    assert asyncapi.check(ROOT / "docs") == []


def test_a_document_that_is_missing_or_old_is_reported(tmp_path):
    assert asyncapi.check(tmp_path) == ["docs/asyncapi.yaml: differs from the contracts; run `make contracts`"]
    asyncapi.write(tmp_path)
    assert asyncapi.check(tmp_path) == []
    (tmp_path / asyncapi.FILE).write_text(asyncapi.document().replace("partitions: 6", "partitions: 7"))
    assert len(asyncapi.check(tmp_path)) == 1


def test_it_is_valid_by_the_schema_of_asyncapi_3(document):
    jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).validate(document)


def test_the_schema_of_asyncapi_3_refuses_what_is_none(document):
    broken = {**document, "operations": {"x": {"action": "shout", "channel": {"$ref": "#/channels/x"}}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).validate(broken)


def test_everything_it_points_at_is_there(document):
    for ref in set(refs(document)):
        node = document
        for part in ref.removeprefix("#/").split("/"):
            assert part in node, ref
            node = node[part]


def test_its_channels_are_the_topics_that_are_made(document):
    assert sorted(document["channels"]) == all_topics()


def test_its_operations_say_who_sends_and_who_hears(document):
    said = {
        (action, name.split(".")[0], ref["$ref"].rsplit("/", 1)[1])
        for name, operation in document["operations"].items()
        for action in [operation["action"]]
        for ref in operation["messages"]
        if not ref["$ref"].endswith("/dead_letter")
    }
    sent = {("send", name.split(".")[0], name) for name in REGISTRY}
    heard = {("receive", service, name) for name, event in REGISTRY.items() for service in event.consumers}
    assert said == sent | heard


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_each_example_satisfies_its_payload_and_shows_its_key(document, name):
    message = document["components"]["messages"][name]
    example = json.loads((EXAMPLES / f"{name}.json").read_text())
    satisfies(document, example, message["payload"]["$ref"])
    jsonschema.validate(example[REGISTRY[name].key_field], message["bindings"]["kafka"]["key"])


@pytest.mark.parametrize("caused", [True, False])
def test_the_headers_that_are_sent_satisfy_it(document, caused):
    envelope = Envelope(
        id=new_id(), type="registry.visit_recorded.v1", source="/daohu/registry", subject="1", time=NOW,
        division="610926100201", actor="li", aggregate_version=3,
        causation_id=str(new_id()) if caused else None, traceparent="00-1-2-01" if caused else None,
    )  # fmt: skip
    satisfies(document, envelope.headers(), "#/components/schemas/headers")
    with pytest.raises(jsonschema.ValidationError):
        satisfies(document, {**envelope.headers(), "ce_division": "6109"}, "#/components/schemas/headers")


@pytest.mark.parametrize(("body", "headers"), [(b"{", {"ce_type": "x"}), (b"x" * (MAX_MESSAGE_BYTES + 1), {})])
async def test_the_dead_letters_that_are_sent_satisfy_it(document, tmp_path, body, headers):
    database = Database(f"sqlite:///{tmp_path / 'test.db'}", service="tests")
    record = Record("daohu.registry.visit", 0, 7, "1", body, headers, NOW)
    async with database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
        await dead_letters.enter(tx, group_of("notify"), record, state="dead", error="ValueError", tries=1, at=NOW)
        row = (await tx.execute(tables.outbox.select())).one()
    await database.close()
    satisfies(document, row.headers, "#/components/messages/dead_letter/headers")
