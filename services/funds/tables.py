"""The tables of the funds service; each room adds its own in its store."""

from shared.db import new_metadata

metadata = new_metadata()
