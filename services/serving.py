"""How every process of ours serves HTTP: the listening socket, uvicorn's settings, memory that is not looked through again."""

import asyncio
import gc
import resource
import socket
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from services.connections import Connections
from shared.settings import Settings

GC_THRESHOLDS = (20_000, 20, 20)

OWN_FILES = 512
"""Open files that a process keeps for its own: databases, bus, keys. Connections that took the last would end all its work."""


def config(app: ASGIApp, settings: Settings, *, name: str = "house", **given: Any) -> uvicorn.Config:
    """`name`: the service whose metrics refused connections stand in; the embedded house has one door for all four.

    `log_config=None`: what uvicorn has to say is a line of ours (shared.observability.Foreign).
    """
    soft, room = files_for(settings.max_connections, *resource.getrlimit(resource.RLIMIT_NOFILE))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    connections = Connections(settings.model_copy(update={"max_connections": room}), name=name)
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


def files_for(connections: int, soft: int, hard: int) -> tuple[int, int]:
    """Of the system's limits of open files: what the soft one should be, and how many of so many connections there is then room for.

    Most systems give a process 1,024 files, and more if it asks for them.
    """
    if soft == resource.RLIM_INFINITY:
        return soft, connections
    wanted = connections + OWN_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    return soft, min(connections, max(soft - OWN_FILES, soft // 2))


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
