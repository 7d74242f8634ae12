"""Environment → settings of the notify service."""

from typing import ClassVar

from shared.settings import Settings as Base


class Settings(Base):
    service: ClassVar[str] = "notify"
