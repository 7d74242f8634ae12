"""Named fault points. In normal running each is one comparison with an empty string.

`DAOHU_FAULT=registry.before_commit:7` makes the seventh passage of that point stop the whole process there (it writes the
point's name to `DAOHU_FAULT_FILE` and waits), so that a test outside can kill -9 it inside the transaction.
With `DAOHU_FAULT_FROM`, passages count only once that file is there.

`DAOHU_FAULTS=<folder>` arms a process while it runs: whoever passes a point whose name a file in the folder bears takes that
file away and ends itself with kill -9 there. Of several processes that share a folder, one does.
"""

import os
import signal
import time
from pathlib import Path

_POINT, _, _COUNT = os.environ.get("DAOHU_FAULT", "").partition(":")
_FROM = os.environ.get("DAOHU_FAULT_FROM", "")
_FOLDER = os.environ.get("DAOHU_FAULTS", "")
_ARMED = _POINT or _FOLDER
_left = int(_COUNT or "1")


def armed(service: str, name: str) -> bool:
    """Whether this process may stop at that point: for a place that has to make room for it."""
    return bool(_FOLDER) or f"{service}.{name}" == _POINT


def point(service: str, name: str) -> None:
    """Marks a place where a crash must lose nothing and do nothing twice."""
    if not _ARMED:
        return
    place = f"{service}.{name}"
    if _FOLDER:
        _end_where_wanted(place)
    if place == _POINT and not (_FROM and not Path(_FROM).exists()):
        _stop_in_turn()


def _end_where_wanted(place: str) -> None:
    try:
        Path(_FOLDER, place).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _stop_in_turn() -> None:
    global _left
    _left -= 1
    if _left == 0:
        Path(os.environ["DAOHU_FAULT_FILE"]).write_text(_POINT)
        time.sleep(600)  # killed from outside long before
