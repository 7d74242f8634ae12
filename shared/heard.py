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
    try:
        envelope = Envelope.from_headers(record.headers)
    except KeyError as error:
        raise Unreadable(f"envelope without {error.args[0]}") from error
    except ValueError as error:
        raise Unreadable("envelope with an unreadable attribute") from error
    kind = REGISTRY.get(envelope.type)
    if kind is None:
        raise Unreadable("unknown type or version")
    try:
        return kind.read(record.value), envelope
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, e['loc']))} {e['type']}" for e in error.errors(include_input=False)]
        raise Unreadable("body: " + ", ".join(wrong)) from error
    except ValueError as error:
        raise Unreadable("body: not readable") from error
