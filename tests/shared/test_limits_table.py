"""docs/limits.md says every limit there is, with the value it has."""

from services import limits_table
from shared.settings import Settings


def test_the_page_says_what_the_settings_and_constants_say() -> None:
    said = limits_table.COMMITTED.read_text(encoding="utf-8")
    assert limits_table.written(said) == said


def test_a_value_that_changed_is_noticed() -> None:
    said = limits_table.COMMITTED.read_text(encoding="utf-8")
    assert limits_table.written(said.replace("| 1,048,576 |", "| 1 |", 1)) == said


def test_every_number_of_the_settings_is_a_limit_or_named_as_none() -> None:
    numbers = {name for name, field in Settings.model_fields.items() if field.annotation in (int, float, int | None)}
    assert numbers == limits_table.SETTINGS.keys() | limits_table.NO_LIMITS
