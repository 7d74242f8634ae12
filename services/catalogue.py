"""The four services by name: how each is made, its settings, its tables. Only the service that is asked for is imported."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from fastapi import FastAPI
from sqlalchemy import MetaData

from shared.bus import Bus
from shared.settings import Settings

NAMES = ("registry", "funds", "assessment", "notify")


@dataclass(frozen=True, slots=True)
class Part:
    """One of the four."""

    create_app: Callable[[Settings, Bus], FastAPI]
    settings: type[Settings]
    tables: MetaData


def part(name: str) -> Part:
    """Raises KeyError for a name that is none of NAMES."""
    if name not in NAMES:
        raise KeyError(name)
    app, settings, tables = (import_module(f"services.{name}.{module}") for module in ("app", "settings", "tables"))
    return Part(app.create_app, settings.Settings, tables.metadata)
