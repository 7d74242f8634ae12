"""Reading a record: the event and its envelope, or what is wrong with it, without quoting it."""

from typing import Any

from pydantic import ValidationError

from shared.bus import Record
from shared.events import contracts
from shared.events.base import REGISTRY, Envelope

assert contracts.MODULES  # imported so that REGISTRY knows every event

Heard = tuple[Any, Envelope]
"""An event and its envelope."""


class Unreadable(Exception):
    """Undecodable, or of a type or version nobody here knows. The text names what, never a value."""


def read(record: Record) -> Heard:
    """Raises Unreadable."""
    envelope = envelope_of(record)
    return event_of(record, envelope), envelope


def envelope_of(record: Record) -> Envelope:
    """Raises Unreadable, also for a type that nobody here knows."""
    try:
        envelope = Envelope.from_headers(record.headers)
    except KeyError as error:
        raise Unreadable(f"envelope without {error.args[0]}") from error
    except ValueError as error:
        raise Unreadable("envelope with an unreadable attribute") from error
    if envelope.type not in REGISTRY:
        raise Unreadable("unknown type or version")
    return envelope


def event_of(record: Record, envelope: Envelope) -> Any:
    """The event inside. Raises Unreadable."""
    try:
        return REGISTRY[envelope.type].read(record.value)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, e['loc']))} {e['type']}" for e in error.errors(include_input=False)]
        raise Unreadable("body: " + ", ".join(wrong)) from error
    except ValueError as error:
        raise Unreadable("body: not readable") from error
