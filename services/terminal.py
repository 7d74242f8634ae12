"""How the commands speak: answers on standard output, everything else on standard error, refusals in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

out, err = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)

Home = Annotated[Path, typer.Option(envvar="DAOHU_HOME", help="keys, clock, and the databases of the embedded mode")]
HOME = Path(".daohu")


def fail(message: str, code: int = 1) -> typer.Exit:
    """Says it on standard error; raise what it returns."""
    err.print(f"[red]{message}[/red]", highlight=False)
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
