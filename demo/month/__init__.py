"""The county's month, lived from outside over HTTP: 31 October to 2 December 2016, five Mondays and their Fridays."""

from demo.month.stage import CheckFailed, Stage
from demo.month.timeline import STARTS_AT, live

__all__ = ["STARTS_AT", "CheckFailed", "Stage", "live"]
