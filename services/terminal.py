"""How the commands speak: answers on standard output, everything else on standard error, refusals in one line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

_ACTING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal obeys instead of showing it: escape sequences, other control characters, marks that turn the writing round."""


def visible(text: str) -> str:
    """The text with each of these written out, e.g. as \\x1b."""
    return _ACTING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class Terminal(Console):
    """A console on which nothing acts that others wrote: an answer, a file's name, an event's text."""

    def render_str(self, text: str, **given: Any) -> Text:
        return super().render_str(visible(text), **given)


out, err = Terminal(soft_wrap=True), Terminal(stderr=True, soft_wrap=True)

Home = Annotated[Path, typer.Option(envvar="DAOHU_HOME", help="keys, clock, and the databases of the embedded mode")]
HOME = Path(".daohu")


def fail(message: str, code: int = 1) -> typer.Exit:
    """Says it on standard error; raise what it returns."""
    err.print(Text(visible(message), "red"))  # a message may quote what looks like markup
    return typer.Exit(code)


@contextmanager
def databases_in_hand() -> Iterator[None]:
    """What stands against working on databases is said in one line: in use, empty, not there, or the act is refused."""
    from sqlalchemy.exc import DBAPIError

    from services.embedded import HomeInUse
    from shared.bus import BusError
    from shared.errors import Refusal

    try:
        yield
    except Refusal as refusal:
        raise fail(f"{refusal.code}: {refusal.detail}") from None
    except HomeInUse as refusal:
        raise fail(str(refusal)) from None
    except BusError as error:
        raise fail(f"Kafka does not do it ({type(error).__name__}: {error}).") from None
    except (DBAPIError, OSError) as error:
        raise fail(
            f"The databases cannot be read ({type(error).__name__}). Are these the home and the DAOHU_…_DATABASE_URL? "
            "`daohu migrate` makes the tables."
        ) from None
