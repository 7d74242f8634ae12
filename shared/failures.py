"""What a failure means: whether it may pass by itself, how long to wait, and its name without anybody's data."""

import random
from pathlib import Path

from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.bus import BusError
from shared.errors import Refusal

BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.05, 5.0
"""Between tries: first, then double each time, at most; jittered."""

_HOUSE = Path(__file__).parent.parent

_SQLITE_PASSING = {5, 6, 7, 9, 10, 13, 14, 15}
"""BUSY LOCKED NOMEM INTERRUPT IOERR FULL CANTOPEN PROTOCOL. The plain ERROR (1) is a wrong statement: it does not pass."""

_SQLITE_FULL, _POSTGRES_FULL = 13, "53100"

_POSTGRES_PASSING = {"08", "40", "53", "55", "57"}
"""Classes of SQLSTATE: connection, serialization and deadlock, resources, locks, an operator's intervention."""


def transient(error: Exception) -> bool:
    """Whether the same thing may succeed later without anybody changing anything: database, network, bus."""
    if isinstance(error, OSError | BusError | PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    if (code := getattr(error.orig, "sqlite_errorcode", None)) is not None:
        return code & 0xFF in _SQLITE_PASSING
    if state := getattr(error.orig, "sqlstate", None):
        return state[:2] in _POSTGRES_PASSING
    # InternalError without a state: the driver found its connection given up by the server, and not yet cut.
    return isinstance(error, OperationalError | InterfaceError | InternalError)


def storage_full(error: Exception) -> bool:
    """Whether a database refused a write because its disk has no room."""
    driver = getattr(error, "orig", error)
    code = getattr(driver, "sqlite_errorcode", 0)
    return code & 0xFF == _SQLITE_FULL or getattr(driver, "sqlstate", None) == _POSTGRES_FULL


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    full: float = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(failures - 1, 10))
    return full * random.uniform(0.5, 1.0)  # noqa: S311 (jitter)


def place_of(error: BaseException) -> str:
    """Where in our own code it was raised: file and line, no values."""
    place, step = "", error.__traceback__
    while step is not None:
        path = Path(step.tb_frame.f_code.co_filename)
        if path.is_relative_to(_HOUSE) and "site-packages" not in path.parts:
            place = f"{path.relative_to(_HOUSE)}:{step.tb_lineno}"
        step = step.tb_next
    return place


def name_of(error: Exception) -> str:
    """What went wrong without the text of an unknown error, which may quote a person's data."""
    return f"{type(error).__name__} {error.code}" if isinstance(error, Refusal) else type(error).__name__
