"""`daohu openapi`: the APIs of all four services as one document. `docs/openapi.json` is its committed form; the origin serves that."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI

TITLE = "Daohu 到户"
COMMITTED = Path(__file__).parent.parent / "docs" / "openapi.json"


def combined(apps: Mapping[str, FastAPI]) -> dict[str, Any]:
    """One OpenAPI document of several: schemas get their service's name in front, paths are distinct already."""
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": "1"},
        "paths": {},
        "components": {"schemas": {}},
    }
    for name, app in apps.items():
        text = orjson.dumps(app.openapi()).decode().replace("#/components/schemas/", f"#/components/schemas/{name}.")
        part = orjson.loads(text)
        whole["paths"] |= part["paths"]
        schemas = part.get("components", {}).get("schemas", {})
        whole["components"]["schemas"] |= {f"{name}.{key}": schema for key, schema in schemas.items()}
    return whole


def of_this_code() -> bytes:
    """The document of the routes in this code, as JSON text. Nothing is started: the apps are only made."""
    from services.catalogue import NAMES, part
    from shared.local_bus import LocalBus

    with tempfile.TemporaryDirectory(prefix="daohu-openapi-") as folder:
        home = Path(folder)
        bus = LocalBus(home / "bus.db")
        apps = {
            name: part(name).create_app(
                part(name).settings.of(
                    home=home, role="api", clock="system", database_url="", kafka_bootstrap_servers=""
                ),
                bus,
            )
            for name in NAMES
        }
    return orjson.dumps(combined(apps), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
