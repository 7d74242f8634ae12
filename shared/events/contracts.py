"""From pydantic models to committed JSON Schemas, examples and documentation, and what may change inside a version."""

import json
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

from pydantic.fields import FieldInfo

from shared.events import assessment, funds, notify, registry
from shared.events.base import REGISTRY, Event

MODULES = (registry, funds, assessment, notify)
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(event: type[Event]) -> dict[str, Any]:
    """The JSON Schema of an event's body as its producer writes it."""
    return {"$schema": DIALECT, "$id": f"/schemas/{event.type_name}.json", **event.model_json_schema(mode="validation")}


def write(here: Path, docs: Path) -> None:
    for folder in ("schemas", "examples", "released"):
        (here / folder).mkdir(exist_ok=True)
    for name, event in sorted(REGISTRY.items()):
        (here / "schemas" / f"{name}.json").write_text(_json(schema_of(event)))
        example = here / "examples" / f"{name}.json"
        if not example.exists():
            example.write_text(_json(json.loads(_example(event).model_dump_json())))
    docs.mkdir(exist_ok=True)
    (docs / "events.md").write_text(document())


def release(here: Path) -> None:
    for name in REGISTRY:
        (here / "released" / f"{name}.json").write_text((here / "schemas" / f"{name}.json").read_text())


def check(here: Path, docs: Path) -> list[str]:
    """What is wrong with the committed contracts; empty when nothing is."""
    problems = []
    for name, event in sorted(REGISTRY.items()):
        committed = here / "schemas" / f"{name}.json"
        if not committed.exists() or committed.read_text() != _json(schema_of(event)):
            problems.append(f"{committed}: differs from the model; run `make contracts`")
        examples = sorted((here / "examples").glob(f"{name}*.json"))
        if not examples:
            problems.append(f"{name}: has no example; run `make contracts`")
        for example in examples:
            try:
                event.read(example.read_bytes())
            except ValueError as error:
                problems.append(f"{example}: no longer parses: {error}")
    for released in sorted((here / "released").glob("*.json")):
        current = REGISTRY.get(released.stem)
        if current is None:
            problems.append(f"{released.stem}: was released and is gone; keep it until no consumer is left")
        else:
            broken = breaking(json.loads(released.read_text()), schema_of(current))
            problems += [f"{released.stem}: {change}; make a new version instead" for change in broken]
    for stray in sorted((here / "schemas").glob("*.json")):
        if stray.stem not in REGISTRY:
            problems.append(f"{stray}: no event has this name")
    if not (docs / "events.md").exists() or (docs / "events.md").read_text() != document():
        problems.append("docs/events.md: differs from the models; run `make contracts`")
    return problems


def breaking(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Changes that a version does not allow: inside it, only optional fields with defaults may be added."""
    found = []
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, was in before.items():
        if name not in after:
            found.append(f"field {name} was removed")
        elif _shape(was, old) != _shape(after[name], new):
            found.append(f"field {name} changed")
        elif lost := _values(was, old) - _values(after[name], new):
            found.append(f"field {name} lost {', '.join(sorted(lost))}")
    required = set(new.get("required", [])) - set(old.get("required", []))
    found += [f"field {name} became required" for name in sorted(required)]
    found += [
        f"field {name} is no longer always there"
        for name in sorted(set(old.get("required", [])) - set(new.get("required", [])))
    ]
    return found


def _shape(schema: Any, root: dict[str, Any]) -> Any:
    """A schema without its words, references resolved. Enums may grow: their consumers read the unknown as `unknown`."""
    if isinstance(schema, list):
        return [_shape(item, root) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        schema = {**root["$defs"][schema["$ref"].rsplit("/", 1)[1]], **{k: v for k, v in schema.items() if k != "$ref"}}
    return {
        k: _shape(v, root)
        for k, v in schema.items()
        if k not in ("title", "description", "enum", "default", "examples")
    }


def _values(schema: Any, root: dict[str, Any]) -> set[str]:
    """Every enum value within a schema, references resolved."""
    if isinstance(schema, list):
        return {value for item in schema for value in _values(item, root)}
    if not isinstance(schema, dict):
        return set()
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return set(schema.get("enum", ())) | _values(list(schema.values()), root)


def _example(event: type[Event]) -> Event:
    return event(**{name: _value(name, field) for name, field in event.model_fields.items()})


def _value(name: str, field: FieldInfo) -> Any:
    kind = field.annotation
    if get_origin(kind) in (Union, UnionType):
        kind = next(option for option in get_args(kind) if option is not type(None))
    named = {
        "code": "610926100201",
        "division": "610926100201",
        "parent": "610926100000",
        "household_no": "61092610020100001",
        "head_name_masked": "王*",
        "week": "2016-W45",
        "subject": "town:610926100000",
        "period": "2016-11",
        "campaign": "weekly",
        "pathway": "industry",
        "sub": "茶饮",
        "scope": "exit_target_2016",
        "level": "village" if isinstance(kind, type) and issubclass(kind, Enum) else "central",
        "year": 2016,
        "holders": ["wang"],
        "roles": ["town_office"],
        "divisions": ["610926100000"],
    }
    if name in named:
        return named[name]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    samples: dict[Any, Any] = {
        UUID: UUID("01930000-0000-7000-8000-000000000001"),
        int: 3,
        bool: False,
        date: date(2016, 11, 7),
        datetime: datetime(2016, 11, 7, 1, 0, tzinfo=UTC),
        str: f"{name}-1",
    }
    return samples[kind]


def document() -> str:
    """docs/events.md."""
    lines = [
        "# Events",
        "",
        "Generated by `make contracts` from `shared/events/`; do not edit. Each is a CloudEvents 1.0 event in binary mode;",
        "the Kafka key is the named field. The schema stands in `shared/events/schemas/<type>.json`, an example in `examples/`.",
        "",
    ]
    for module in MODULES:
        lines += [f"## {module.__name__.rsplit('.', 1)[1]}", ""]
        for event in (e for e in REGISTRY.values() if e.__module__ == module.__name__):
            heard = ", ".join(event.consumers) or "nobody in the house yet"
            lines += [
                f"### `{event.type_name}`",
                "",
                f"{(event.__doc__ or '').strip()}",
                "",
                f"Topic `{event.topic}` · key `{event.key_field}` · heard by {heard}",
                "",
            ]
            lines += ["| field | type | meaning |", "| --- | --- | --- |"]
            for name, schema in schema_of(event)["properties"].items():
                optional = "" if name in schema_of(event).get("required", []) else " (optional)"
                lines.append(f"| `{name}` | {_words(schema)}{optional} | {schema.get('description', '')} |")
            lines.append("")
    return "\n".join(lines)


def _words(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_words(option) for option in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[1])
    return str(schema.get("format") or schema.get("type", "any"))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
