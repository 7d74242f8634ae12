"""Named fault points. In normal running each is one comparison with an empty string.

`DAOHU_FAULT=registry.before_commit:7` makes the seventh passage of that point stop the whole process there (it writes the
point's name to `DAOHU_FAULT_FILE` and waits), so that a test outside can kill -9 it inside the transaction.
With `DAOHU_FAULT_FROM`, passages count only once that file is there.
"""

import os
import time
from pathlib import Path

_POINT, _, _COUNT = os.environ.get("DAOHU_FAULT", "").partition(":")
_FROM = os.environ.get("DAOHU_FAULT_FROM", "")
_left = int(_COUNT or "1")


def armed(service: str, name: str) -> bool:
    """Whether this process will stop at that point: for a place that has to make room for it."""
    return f"{service}.{name}" == _POINT


def point(service: str, name: str) -> None:
    """Marks a place where a crash must lose nothing and do nothing twice."""
    global _left
    if not _POINT or f"{service}.{name}" != _POINT or (_FROM and not Path(_FROM).exists()):
        return
    _left -= 1
    if _left == 0:
        Path(os.environ["DAOHU_FAULT_FILE"]).write_text(_POINT)
        time.sleep(600)  # killed from outside long before
