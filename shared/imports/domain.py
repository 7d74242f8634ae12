"""Rules of imports (导入): when a file is taken over. Pure."""

from enum import StrEnum

from shared.errors import Forbidden, Gone, NotFound


class Mode(StrEnum):
    """`all`: one wrong row and nothing is taken over. `valid`: the good rows are (--accept-valid)."""

    ALL = "all"
    VALID = "valid"


class State(StrEnum):
    """What became of a file: looked at only, refused for its wrong rows, or taken over."""

    CHECKED = "checked"
    REFUSED = "refused"
    APPLIED = "applied"


class KindUnknown(NotFound):
    code = "import_kind_unknown"


class ImportUnknown(NotFound):
    code = "import_unknown"


class NoWrongRows(NotFound):
    code = "no_report"


class ReportGone(Gone):
    code = "report_expired"


class NotYourLedger(Forbidden):
    """Each ledger has its keeper. Source: REG-006."""

    code = "not_your_ledger"


def outcome(mode: Mode, *, dry_run: bool, wrong: int) -> State:
    """What is to be done with a file that has so many wrong rows."""
    if dry_run:
        return State.CHECKED
    return State.REFUSED if wrong and mode == Mode.ALL else State.APPLIED
