"""shared.personal: every column that can hold something of a person is marked, and every mark says what rotation needs."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import JSON, Column, LargeBinary, String

from services import personal_table
from services.catalogue import NAMES, part
from shared import retention, tables
from shared.personal import MARK, Form, marked

METADATA = {**{name: part(name).tables for name in NAMES}, "kit": tables.metadata}

NOT_OF_A_PERSON = {
    "codes, kinds, states and places": {
        "act", "action", "bank", "basis", "book", "campaign", "channel", "code", "counts", "county",
        "digest", "division", "divisions", "earmark", "error", "finding", "group", "hash", "housing",
        "indicator", "kind", "language", "level", "link", "mode", "parent",
        "pathway", "place", "post", "predecessors", "procedure", "roles", "root", "scheme", "scope",
        "standard", "state", "status", "step", "sub", "topic", "town", "type", "unit", "units", "verdict",
    },
    "numbers that stand for something, never a person's own": {
        "cadre_no", "case_no", "client_ref", "document_no", "fund_no", "household_no", "key", "message_id",
        "message_ref", "once", "owner", "period", "project_no", "ref", "request_hash", "subject", "traceparent",
        "tranche_no", "week",
    },
    "accounts of officials and machines": {
        "absent", "actor", "answered_by", "client", "created_by", "decider", "ended_by", "entered_by", "given_by", "holder", "holders", "posted_by",
        "raised_by", "recorded_by", "seen_by",
    },
    "figures and proofs": {"explanation", "funds", "grade", "headers", "note", "objects", "shares"},
}  # fmt: skip
BY_PLACE = {
    "registry.division.name": "a place", "funds.division.name": "a place", "assessment.division.name": "a place",
    "notify.place.name": "a place", "funds.source.name": "a fund", "funds.project.name": "a project",
    "funds.project.performance_target": "a project's target", "funds.ledger_account.name": "kind, number and earmark",
    "assessment.appointment.title": "a post", "notify.prompt.reason": "a code", "notify.alarm.facts": "ids and counts",
    "registry.mandate_given.object": "what is audited", "kit.audit.facts": "ids and counts", "kit.import_file.errors": "row, column and code, without the cells",
    "kit.look.filters": "the filters' names and codes", "funds.log_cosignature.witness": "an office",
    "funds.log_cosignature.line": "its signature",
}  # fmt: skip


def texts() -> Iterator[tuple[str, Column[Any]]]:
    for name, metadata in METADATA.items():
        for table in metadata.sorted_tables:
            for column in table.columns:
                if isinstance(column.type, String | JSON | LargeBinary):
                    yield f"{name}.{column}", column


def test_every_column_that_can_hold_something_of_a_person_is_marked_or_says_why_not():
    passed = set().union(*NOT_OF_A_PERSON.values())
    unclear = [
        place
        for place, column in texts()
        if MARK not in column.info and column.name not in passed and place not in BY_PLACE
    ]
    assert unclear == []


def test_all_that_is_kept_of_somebody_in_a_household_is_marked_codes_numbers_and_days_too():
    of_a_person = METADATA["registry"].tables["member"].columns
    assert {column.name for column in of_a_person if MARK not in column.info} == {"id", "household_id", "member_no"}


def test_the_exceptions_are_columns_that_are_there():
    """None for something that is gone, and none for what is marked."""
    there = {place: column for place, column in texts() if MARK not in column.info}
    assert set(BY_PLACE) - set(there) == set()
    assert set().union(*NOT_OF_A_PERSON.values()) - {str(column.name) for column in there.values()} == set()


@pytest.mark.parametrize("name", METADATA)
def test_what_is_named_sealed_blind_or_masked_is_marked_so(name: str):
    endings = {"_sealed": Form.SEALED, "_blind": Form.INDEX, "_index": Form.INDEX, "_masked": Form.MASKED}
    found = {
        str(column): (column.info[MARK].form if MARK in column.info else None, form)
        for table in METADATA[name].sorted_tables
        for column in table.columns
        for ending, form in endings.items()
        if column.name.endswith(ending)
    }
    assert {place: pair for place, pair in found.items() if pair[0] is not pair[1]} == {}


def test_no_two_sealed_columns_are_bound_to_one_place():
    places = [mark.place for name in METADATA for _, mark in marked(METADATA[name], form=Form.SEALED)]
    assert len(places) == len(set(places)) == 11


def test_what_a_seal_is_bound_to_is_unique_in_its_table():
    rows = {
        str(column): column.table.c[mark.row]
        for name in METADATA
        for column, mark in marked(METADATA[name], form=Form.SEALED)
    }
    assert {place for place, row in rows.items() if list(row.table.primary_key) != [row]} == set()


def test_every_index_can_be_made_anew():
    marks = [mark for name in METADATA for _, mark in marked(METADATA[name], form=Form.INDEX)]
    assert len(marks) == 4
    for mark in marks:
        if mark.source is not None:
            assert {"key", "row", "sealed", "old"} == set(mark.source().selected_columns.keys())
            assert mark.place
        else:
            assert mark.follows is not None


def test_periods_in_words_are_those_that_are_kept():
    kept = {str(column): mark.kept for column, mark in marked(tables.metadata)}
    assert kept["outbox.body"] == f"{retention.PUBLISHED.days} days"
    assert kept["idempotency.body"] == f"{retention.ANSWERS.days} days"
    assert kept["import_file.file_sealed"] == f"{retention.FILES.days} days"


def test_the_document_is_what_the_marks_say():
    said = personal_table.COMMITTED.read_text(encoding="utf-8")
    assert personal_table.written(said) == said
    assert "`registry.member_identity.number_sealed`" in said


def test_a_document_without_its_marks_is_refused():
    with pytest.raises(ValueError, match="lacks"):
        personal_table.written("# Personal data\n")


NUMBERS = re.compile(r"id_number|card|phone|account|sender|mobile|bank_no")


def _answers(document: dict[str, Any]) -> set[str]:
    """Names of the schemas that some answer is made of."""
    found: set[str] = set()
    left = {name for route in document["paths"].values() for act in route.values() for name in _named(act["responses"])}
    while left:
        found |= left
        left = {other for name in left for other in _named(document["components"]["schemas"][name])} - found
    return found


def _named(value: Any) -> set[str]:
    return set(re.findall(r"#/components/schemas/([\w.\-]+)", json.dumps(value)))


def test_every_answer_masks_numbers_but_the_one_that_is_shown_on_record():
    document = json.loads((personal_table.COMMITTED.parent / "openapi.json").read_text(encoding="utf-8"))
    shown = {
        f"{name}.{field}"
        for name in _answers(document)
        for field in document["components"]["schemas"][name].get("properties", {})
        if NUMBERS.search(field) and not field.endswith("_masked")
    }
    assert shown == {"registry.Unmasked.id_number"}
