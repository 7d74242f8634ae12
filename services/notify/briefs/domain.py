"""The week's key tasks (本周重点工作): what may be written into a brief. Pure."""

from shared.errors import Refusal

MAX_TASKS = 8
MAX_TASK_LENGTH = 60
"""Characters of one task."""

WEEKS_AHEAD = 53
"""How far ahead a brief may be entered."""


class BriefExists(Refusal):
    code = "brief_exists"


class BriefInUse(Refusal):
    code = "brief_in_use"


class WeekOver(Refusal):
    code = "week_over"


class WeekTooFar(Refusal):
    code = "week_too_far"


class NotACounty(Refusal):
    code = "not_a_county"
