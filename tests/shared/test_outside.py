"""Guards for what comes from outside: names stay in their folder, requests stay out of the inner network."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from shared.outside import (
    MAX_NAME_BYTES,
    AddressRefused,
    AnswerRefused,
    NameRefused,
    Outside,
    client,
    is_outside,
    safe_path,
)

# Names


@pytest.mark.parametrize(
    "name", ["合同.pdf", "a b (1).XLSX", "照片 2016-11-01.jpg", "é.txt", "x" * MAX_NAME_BYTES, "com10.txt", "a..b"]
)
def test_a_plain_name_is_a_file_of_its_folder(tmp_path, name):
    path = safe_path(tmp_path, name)
    path.write_text("x")
    assert path.parent == tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "...", "../x", "..\\x", "/etc/passwd", "a/b", "a\\b", "C:\\x", "C:x", "\\\\host\\x", "x\0", "x\n", "x\r\ny", "\x7f",
        "x\u202etxt.exe", "\u200bx", "\ufeffx", "a／b", "a＼b", "．．", "‥", "a：b", "CON", "con.txt", "Lpt1.x", "com¹", "ＣＯＮ", "aux.", "NUL .txt ",
        " x", "x ", "x.", ".htaccess", "-rf", "~x", "a*", "a?", "a|b", "<a>", '"', "x" * (MAX_NAME_BYTES + 1), "甲" * 67, "\ud800", "\U000f0000", "ﹰ",
    ],
)  # fmt: skip
def test_a_name_that_means_something_is_refused(tmp_path, name):
    with pytest.raises(NameRefused) as refusal:
        safe_path(tmp_path, name)
    assert not name or name not in str(refusal.value) or len(name) == 1


def test_two_spellings_of_a_name_are_one_file(tmp_path):
    assert safe_path(tmp_path, "é") == safe_path(tmp_path, "e\u0301")


def test_a_link_is_refused_as_the_file_and_as_the_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "in" / "self").symlink_to(tmp_path / "in" / "other")
    (tmp_path / "root").symlink_to(tmp_path / "in")
    for root, name in (("in", "link"), ("in", "self"), ("root", "x")):
        with pytest.raises(NameRefused):
            safe_path(tmp_path / root, name)


@given(st.text(max_size=30))
def test_no_text_leads_out(tmp_path_factory, name):
    root = tmp_path_factory.getbasetemp() / "names"
    root.mkdir(exist_ok=True)
    try:
        path = safe_path(root, name)
    except NameRefused:
        return
    assert path.resolve().parent == root.resolve()


# Addresses


@pytest.mark.parametrize(
    "text", ["93.184.216.34", "223.5.5.5", "2001:4860:4860::8888", "64:ff9b::5db8:d822", "2400:3200::1"]
)
def test_public_addresses_are_outside(text):
    assert is_outside(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200",
        "168.63.129.16", "192.0.0.192", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "192.88.99.1",
        "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
        "::ffff:10.0.0.1", "::127.0.0.1", "::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1", "2001:0:5ef5:79fb::1", "fec0::1",
    ],
)  # fmt: skip
def test_inner_addresses_are_not(text):
    assert not is_outside(ipaddress.ip_address(text))


# Requests

OUTER, INNER = "127.0.0.2", "127.0.0.1"
"""Two addresses of this machine: the first stands for the internet."""


@dataclass
class Site:
    """A real server that answers by its path and notes who was asked."""

    port: int = 0
    heard: list[str] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        path = head.split(" ")[1]
        self.heard.append(f"{writer.get_extra_info('sockname')[0]} {path}")
        length = len("hello")
        if path == "/redirect":
            writer.write(
                f"HTTP/1.1 302 x\r\nlocation: http://inner:{self.port}/secret\r\ncontent-length: 0\r\n\r\n".encode()
            )
        elif path == "/endless":
            writer.write(b"HTTP/1.1 200 x\r\n\r\n" + b"x" * 5000)
        elif path == "/slow":
            writer.write(b"HTTP/1.1 200 x\r\ncontent-length: 5\r\n\r\nh")
            await asyncio.sleep(5)
        elif path == "/packed":
            writer.write(b"HTTP/1.1 200 x\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello")
        else:
            writer.write(f"HTTP/1.1 200 x\r\ncontent-length: {length}\r\n\r\nhello".encode())
        writer.close()


@dataclass
class Names:
    """A resolver that gives each name its answers one after the other, the last one again and again."""

    answers: dict[str, list[list[str]]]
    asked: int = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        known = self.answers.get(host, [[host]])
        return known.pop(0) if len(known) > 1 else known[0]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    outer = await asyncio.start_server(site.answer, OUTER, 0)
    site.port = outer.sockets[0].getsockname()[1]
    inner = await asyncio.start_server(site.answer, INNER, site.port)
    yield site
    for server in (outer, inner):
        server.close()


def through(site: Site, names: Names, **given) -> httpx.AsyncClient:
    return client(
        Outside(
            insecure_ports=frozenset({site.port}),
            allowed=lambda address: str(address) == OUTER,
            resolve=names,
            **{"max_bytes": 1000, "seconds": 0.5, **given},
        )
    )


async def test_what_is_outside_is_asked(site):
    async with through(site, Names({"outer": [[OUTER]]})) as http:
        answer = await http.get(f"http://outer:{site.port}/x?y=1")
    assert (answer.text, site.heard) == ("hello", [f"{OUTER} /x?y=1"])


@pytest.mark.parametrize(
    "found", [[INNER], [OUTER, INNER], [INNER, OUTER], ["::1"], ["fe80::1%eth0"], ["::ffff:127.0.0.1"], []], ids=str
)
async def test_a_name_with_any_inner_address_is_not_asked(site, found):
    async with through(site, Names({"mixed": [found]})) as http:
        with pytest.raises(AddressRefused):
            await http.get(f"http://mixed:{site.port}/secret")
    assert site.heard == []


async def test_a_name_that_changes_its_address_is_looked_at_once_a_connection(site):
    names = Names({"rebound": [[OUTER], [INNER]]})
    async with through(site, names) as http:
        assert (await http.get(f"http://rebound:{site.port}/x")).text == "hello"
        assert names.asked == 1
        with pytest.raises(AddressRefused):
            await http.get(f"http://rebound:{site.port}/secret")
    assert site.heard == [f"{OUTER} /x"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "[::1]", "[::ffff:7f00:1]"]
)
async def test_no_spelling_of_this_machine_is_asked(site, host):
    async with client(Outside(insecure_ports=frozenset({site.port}))) as http:
        with pytest.raises((AddressRefused, httpx.ConnectError, httpx.InvalidURL)):
            await http.get(f"http://{host}:{site.port}/secret")
    assert site.heard == []


async def test_a_redirect_inwards_is_not_followed_and_would_be_refused(site):
    names = Names({"outer": [[OUTER]], "inner": [[INNER]]})
    async with through(site, names) as http:
        assert (await http.get(f"http://outer:{site.port}/redirect")).status_code == 302
        with pytest.raises(AddressRefused):
            await http.get(f"http://outer:{site.port}/redirect", follow_redirects=True)
    assert site.heard == [f"{OUTER} /redirect"] * 2


@pytest.mark.parametrize(
    "url", ["http://outer/", "https://outer:8443/", "ftp://outer/", "http://outer:22/", "https://me:secret@outer/"]
)
async def test_only_https_without_a_password_is_asked(site, url):
    async with client(Outside(resolve=Names({"outer": [[OUTER]]}))) as http:
        with pytest.raises((AddressRefused, httpx.UnsupportedProtocol)):
            await http.get(url)


@pytest.mark.parametrize(
    ("path", "error"), [("/endless", AnswerRefused), ("/packed", AnswerRefused), ("/slow", httpx.TimeoutException)]
)
async def test_an_answer_is_bounded_in_bytes_and_time(site, path, error):
    async with through(site, Names({"outer": [[OUTER]]})) as http:
        with pytest.raises(error):
            await http.get(f"http://outer:{site.port}{path}")


def self_signed(folder: Path) -> ssl.SSLContext:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "outer")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("outer")]), critical=False)
    unpacked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "both.pem").write_bytes(unpacked + made.sign(key, SHA256()).public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


async def test_a_certificate_that_nobody_signed_is_refused(site, tmp_path):
    secure = await asyncio.start_server(site.answer, OUTER, 0, ssl=self_signed(tmp_path))
    port = secure.sockets[0].getsockname()[1]
    async with through(site, Names({"outer": [[OUTER]]}), ports=frozenset({port}), seconds=5.0) as http:
        with pytest.raises(httpx.ConnectError) as refusal:
            await http.get(f"https://outer:{port}/x")
    secure.close()
    assert "CERTIFICATE_VERIFY_FAILED" in str(refusal.value.__cause__)
    assert site.heard == []


async def test_the_environments_proxy_is_not_asked(site, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://{INNER}:{site.port}")
    async with through(site, Names({"outer": [[OUTER]]})) as http:
        assert (await http.get(f"http://outer:{site.port}/x")).text == "hello"
    assert site.heard == [f"{OUTER} /x"]
