"""The event contracts: committed files equal the models, released schemas stay readable, the house hears what it declares."""

import importlib
import json
import shutil
from datetime import date
from pathlib import Path
from typing import ClassVar

import jsonschema
import pytest
from pydantic import Field, ValidationError

from shared.events import contracts, registry
from shared.events.base import REGISTRY, Event

EVENTS = Path(contracts.__file__).parent
SERVICES = ("registry", "funds", "assessment", "notify")


def test_the_committed_contracts_are_what_the_models_say():
    assert contracts.check(EVENTS, EVENTS.parent.parent / "docs") == []


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_each_example_satisfies_its_committed_schema(name):
    schema = json.loads((EVENTS / "schemas" / f"{name}.json").read_text())
    examples = sorted((EVENTS / "examples").glob(f"{name}*.json"))
    assert examples
    for example in examples:
        jsonschema.validate(json.loads(example.read_text()), schema)


def handlers_of(service: str) -> set[str]:
    return {handler.event.type_name for handler in importlib.import_module(f"services.{service}.consumers").HANDLERS}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_hears_what_the_events_declare(service):
    declared = {name for name, event in REGISTRY.items() if service in event.consumers}
    assert (
        handlers_of(service) == declared if declared else not _has_consumers(service) or handlers_of(service) == set()
    )


def _has_consumers(service: str) -> bool:
    return importlib.util.find_spec(f"services.{service}.consumers") is not None


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_each_event_is_recorded_by_the_service_it_names_and_by_no_other(name):
    kind = REGISTRY[name].__name__
    sources = {
        p.parts[p.parts.index("services") + 1]
        for p in (EVENTS.parent.parent / "services").rglob("*.py")
        if f"{kind}(" in p.read_text()
    }
    assert sources == {name.split(".")[0]}


def test_a_consumer_ignores_fields_it_does_not_know_and_reads_new_enum_values_as_unknown():
    example = json.loads((EVENTS / "examples" / "registry.household_recorded.v1.json").read_text())
    heard = registry.HouseholdRecorded.read(json.dumps({**example, "status": "moved_to_the_moon", "new": 1}).encode())
    assert heard.status is registry.HouseholdStatus.UNKNOWN


def test_a_producer_may_not_add_fields():
    with pytest.raises(ValidationError):
        registry.DivisionRecorded(code="610926000000", name="平利县", level="county", colour="red")


class _Sample:
    schema: ClassVar = {
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["a"],
    }


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"properties": {"a": {"type": "string"}}, "required": ["a"]}, ["field b was removed"]),
        ({"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a"]}, ["field a changed"]),
        (
            {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a", "b"]},
            ["field b became required"],
        ),
        (
            {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": []},
            ["field a is no longer always there"],
        ),
        ({"properties": {**_Sample.schema["properties"], "c": {"type": "string"}}, "required": ["a"]}, []),
    ],
)
def test_inside_a_version_only_optional_fields_may_be_added(change, broken):
    assert contracts.breaking(_Sample.schema, change) == broken


@pytest.fixture
def contract_files(tmp_path):
    for folder in ("schemas", "examples", "released"):
        shutil.copytree(EVENTS / folder, tmp_path / folder)
    return tmp_path


def _field(name, **schema):
    return lambda released: released["properties"].__setitem__(name, schema)


RELEASED = "registry.household_recorded.v1"


@pytest.mark.parametrize(
    ("as_it_was", "problem"),
    [
        (_field("mood", type="string"), "field mood was removed"),
        (_field("people", type="string"), "field people changed"),
        (_field("people", type="integer", minimum=1), "field people changed"),
        (_field("household_no", type="string", maxLength=64), "field household_no changed"),
        (lambda released: released["required"].remove("people"), "field people became required"),
        (lambda released: released["$defs"]["HouseholdStatus"]["enum"].append("lost"), "field status lost lost"),
        (lambda released: released["$defs"]["HouseholdStatus"].update(type="integer"), "field status changed"),
    ],
)
def test_a_break_of_a_released_contract_is_refused(contract_files, as_it_was, problem):
    file = contract_files / "released" / f"{RELEASED}.json"
    released = json.loads(file.read_text())
    as_it_was(released)
    file.write_text(json.dumps(released))
    problems = contracts.check(contract_files, EVENTS.parent.parent / "docs")
    assert f"{RELEASED}: {problem}; make a new version instead" in problems


def test_what_was_always_there_stays_so(contract_files):
    file = contract_files / "released" / "registry.division_recorded.v1.json"
    released = json.loads(file.read_text())
    released["required"].append("parent")
    file.write_text(json.dumps(released))
    problems = contracts.check(contract_files, EVENTS.parent.parent / "docs")
    assert problems == [
        "registry.division_recorded.v1: field parent is no longer always there; make a new version instead"
    ]


def test_a_released_event_that_is_gone_is_reported(contract_files):
    (contract_files / "released" / "registry.household_moved.v1.json").write_text("{}")
    problems = contracts.check(contract_files, EVENTS.parent.parent / "docs")
    assert problems == ["registry.household_moved.v1: was released and is gone; keep it until no consumer is left"]


def test_a_contract_may_gain_an_enum_value(contract_files):
    file = contract_files / "released" / f"{RELEASED}.json"
    released = json.loads(file.read_text())
    released["$defs"]["HouseholdStatus"]["enum"].remove("exited")
    file.write_text(json.dumps(released))
    assert contracts.check(contract_files, EVENTS.parent.parent / "docs") == []


def test_no_event_has_a_field_for_personal_numbers():
    names = {field for event in REGISTRY.values() for field in event.model_fields}
    assert not names & {"id_number", "phone", "bank_card", "card_number", "name", "head_name"} - {"name"}
    assert [name for name, event in REGISTRY.items() if "name" in event.model_fields] == [
        "registry.division_recorded.v1"
    ]


def test_a_date_stays_a_date_on_the_wire():
    class Heard(Event):
        on: date = Field()

    assert Heard.read(b'{"on": "2016-11-07"}').on == date(2016, 11, 7)
