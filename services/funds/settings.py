"""Environment → settings of the funds service."""

from typing import ClassVar

from shared.settings import Settings as Base


class Settings(Base):
    service: ClassVar[str] = "funds"

    @property
    def key_files(self) -> tuple[str, ...]:
        """An API shows the log's public key; only who seals needs the private one."""
        return (*super().key_files, "funds-log.pub" if self.role == "api" else "funds-log.key")
