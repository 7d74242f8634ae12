"""How every process of ours serves HTTP: the listening socket, uvicorn's settings, memory that is not looked through again."""

import asyncio
import gc
import socket
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from services.connections import Connections
from shared.settings import Settings

GC_THRESHOLDS = (20_000, 20, 20)


def config(app: ASGIApp, settings: Settings, *, name: str = "house", **given: Any) -> uvicorn.Config:
    """`name`: the service whose metrics refused connections stand in; the embedded house has one door for all four.

    `log_config=None`: what uvicorn has to say is a line of ours (shared.observability.Foreign).
    """
    connections = Connections(settings, name=name)
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=cast(type[asyncio.Protocol], connections.protocol),
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        callback_notify=connections.sweep,
        timeout_notify=0,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        **given,
    )


def settle_memory() -> None:
    """What is loaded by now stays: looking through it again and again took a seventh of an import's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; 0 takes a free port. A process started anew may take the port of the one before at once. Raises OSError."""
    family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, number)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
