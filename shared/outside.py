"""Names and addresses that come from outside: paths that stay in their folder, requests that stay out of the inner network.

For attachments and webhooks to come; nothing calls it yet. Source: issue 5 (path traversal and SSRF guards in the kit).
"""

import asyncio
import ipaddress
import re
import socket
import ssl
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import httpcore
import httpx

MAX_NAME_BYTES = 200
"""Of a file name in UTF-8; file systems take 255, and a suffix of ours may follow."""

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 20.0
MAX_ANSWER_BYTES = 1 << 20
PORTS = frozenset({443})

_RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|conin\$|conout\$|clock\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?")
_FORBIDDEN = frozenset('/\\:*?"<>|')
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NEVER = tuple(
    map(
        ipaddress.ip_network,
        (
            "100.64.0.0/10",  # carriers' inner networks; Alibaba's metadata service is 100.100.100.200
            "168.63.129.16/32",  # Azure's
            "192.0.0.0/24",  # protocol assignments; Oracle's metadata service is 192.0.0.192
            "192.88.99.0/24",  # 6to4 relays
            "fec0::/10",  # what were site-local addresses
            "64:ff9b:1::/48",  # NAT64 within a network
        ),
    )
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port → addresses as text. Raises OSError."""


class NameRefused(ValueError):
    """A file name that is not taken; the text says why and does not repeat it."""


class AddressRefused(httpx.RequestError):
    """A URL that is not asked; the text says why and does not repeat it."""


class AnswerRefused(httpx.RequestError):
    """An answer with more bytes than are taken, or one that is packed: it could be of any size."""


def safe_path(root: Path, name: str) -> Path:
    """The path of a file of this name directly in `root`; it need not exist. Raises NameRefused.

    The name is one plain name: in NFC, without separators, control or invisible characters, and one that Windows takes as well.
    A link that stands there already is refused, and so is a root that is one: write with O_NOFOLLOW and O_EXCL (mode "x").
    """
    name = unicodedata.normalize("NFC", name)
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise NameRefused("the name is no text") from None
    if not 0 < length <= MAX_NAME_BYTES:
        raise NameRefused(f"a name has 1 to {MAX_NAME_BYTES} bytes")
    folded = unicodedata.normalize("NFKC", name)  # a wide slash is none, but becomes one in the hands of others
    if any(character in _FORBIDDEN or _unseen(character) for character in name + folded):
        raise NameRefused("the name holds a separator, a control character or one that cannot be seen")
    if any(text != text.strip() or text.startswith((".", "-", "~")) or text.endswith(".") for text in (name, folded)):
        raise NameRefused("the name begins or ends with a mark that hides it or is left out")
    if _RESERVED.fullmatch(folded):
        raise NameRefused("the name has a meaning of its own to some system")
    path = root / name
    if root.is_symlink() or path.is_symlink() or path.resolve().parent != root.resolve():
        raise NameRefused("the name leads out of its folder")
    return path


def _unseen(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def is_outside(address: Address) -> bool:
    """Whether it is an address of the public internet: not private, loopback, link-local, metadata, multicast or reserved.

    An IPv6 address that carries an IPv4 one (mapped, compatible, 6to4, Teredo, NAT64) counts as both.
    """
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return isinstance(address, ipaddress.IPv6Address) and address in _NAT64 and is_outside(_last_four(address))
    if any(address.version == network.version and address in network for network in _NEVER):
        return False
    return all(map(is_outside, _carried(address)))


def _last_four(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(address.packed[12:])


def _carried(address: Address) -> list[ipaddress.IPv4Address]:
    if isinstance(address, ipaddress.IPv4Address):
        return []
    carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address.packed[:12] == bytes(12) or address in _NAT64:
        carried.append(_last_four(address))
    return [inner for inner in carried if inner is not None]


async def resolve(host: str, port: int) -> Sequence[str]:
    """What the system's resolver says. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to an address that was looked at: a name is resolved once a connection, and nobody resolves it again behind that."""

    def __init__(self, resolve: Resolve, allowed: Callable[[Address], bool]) -> None:
        self._resolve, self._allowed, self._net = resolve, allowed, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: object = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises AddressRefused when any of the name's addresses is not outside; httpcore's errors for those that fail."""
        try:
            async with asyncio.timeout(timeout):
                found = [ipaddress.ip_address(text.split("%")[0]) for text in await self._resolve(host, port)]
        except (OSError, ValueError) as error:
            raise httpcore.ConnectError("the name has no address") from error
        if not found or not all(map(self._allowed, found)):
            raise AddressRefused("The address leads into an inner network.")
        return await self._net.connect_tcp(str(found[0]), port, timeout=timeout)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: object = None
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused("Sockets of this machine are not asked.")

    async def sleep(self, seconds: float) -> None:
        await self._net.sleep(seconds)


class Outside(httpx.AsyncBaseTransport):
    """An httpx transport that asks the public internet only: https on port 443, every connection to an address that was checked.

    Redirects are requests of their own and go through the same checks; `client` follows none. Proxies of the environment are not used.
    `insecure_ports`: ports that may be asked without TLS. `allowed`, `resolve`: other rules, for a county whose partner is inside.
    """

    def __init__(
        self,
        *,
        ports: frozenset[int] = PORTS,
        insecure_ports: frozenset[int] = frozenset(),
        max_bytes: int = MAX_ANSWER_BYTES,
        seconds: float = TOTAL_SECONDS,
        allowed: Callable[[Address], bool] = is_outside,
        resolve: Resolve = resolve,
    ) -> None:
        self._ports, self._insecure_ports, self._max, self._seconds = ports, insecure_ports, max_bytes, seconds
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=10,
            keepalive_expiry=0.0,  # a name is looked at anew for each request
            network_backend=_Pinned(resolve, allowed),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises AddressRefused, AnswerRefused, httpx's own errors; httpx.ReadTimeout when the whole takes too long."""
        url = request.url
        port = url.port or {"https": 443, "http": 80}.get(url.scheme, 0)
        secure = url.scheme == "https" and port in self._ports
        if not secure and not (url.scheme == "http" and port in self._insecure_ports):
            raise AddressRefused("Only https on the ports that are named is asked.", request=request)
        if url.userinfo:
            raise AddressRefused("An address carries no user or password.", request=request)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._ask(request)
        except TimeoutError:
            raise httpx.ReadTimeout("the answer took too long", request=request) from None

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        asked = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=[
                *((n, v) for n, v in request.headers.raw if n.lower() != b"accept-encoding"),
                (b"accept-encoding", b"identity"),
            ],
            content=request.stream if isinstance(request.stream, httpx.AsyncByteStream) else None,
            extensions={"timeout": {"connect": CONNECT_SECONDS, "read": self._seconds, "write": self._seconds}},
        )
        try:
            answer = await self._pool.handle_async_request(asked)
            try:
                body = await self._taken(answer, request)
            finally:
                await answer.aclose()
        except AddressRefused as refused:
            refused.request = request
            raise
        except httpcore.TimeoutException as error:
            raise httpx.ConnectTimeout("no answer in time", request=request) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise httpx.ConnectError("it did not answer", request=request) from error
        return httpx.Response(answer.status, headers=answer.headers, content=body, request=request)

    async def _taken(self, answer: httpcore.Response, request: httpx.Request) -> bytes:
        if any(name.lower() == b"content-encoding" and value.lower() != b"identity" for name, value in answer.headers):
            raise AnswerRefused("The answer is packed, which was not asked for.", request=request)
        taken = bytearray()
        stream: AsyncIterator[bytes] = answer.aiter_stream()
        async for piece in stream:
            taken += piece
            if len(taken) > self._max:
                raise AnswerRefused(f"The answer has more than {self._max} bytes.", request=request)
        return bytes(taken)

    async def aclose(self) -> None:
        await self._pool.aclose()


def client(transport: Outside | None = None) -> httpx.AsyncClient:
    """A client that goes through `Outside`, follows no redirect and takes nothing from the environment."""
    return httpx.AsyncClient(
        transport=transport or Outside(), follow_redirects=False, trust_env=False, timeout=TOTAL_SECONDS
    )
