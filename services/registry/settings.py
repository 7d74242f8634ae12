"""Environment → settings of the registry service."""

from typing import ClassVar

from shared.settings import Settings as Base


class Settings(Base):
    service: ClassVar[str] = "registry"
