"""A time-stamp authority (RFC 3161) for tests: a real HTTP server over `openssl ts`, with a root and a key of its own."""

import hashlib
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONFIG = """
[tsa]
default_tsa = here
[here]
dir = {folder}
serial = $dir/serial
signer_cert = $dir/tsa.pem
signer_key = $dir/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
[ext]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[ca]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
"""


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def make(folder: Path) -> Path:
    """The authority's certificates in an empty folder; the root, which those who check need."""
    (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "/dev/null"]
    openssl(folder, "req", "-x509", *new, "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=root", "-days", "3650",
            "-config", "tsa.cnf", "-extensions", "ca")  # fmt: skip
    openssl(folder, "req", *new, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=tsa")
    openssl(folder, "x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "3650",
            "-out", "tsa.pem", "-extfile", "tsa.cnf", "-extensions", "ext")  # fmt: skip
    return folder / "root.pem"


SHA_256, SHA_512 = bytes.fromhex("608648016503040201"), bytes.fromhex("608648016503040203")
_HASH = b"\x04\x20"
"""Before the 32 bytes of the hash in a query (RFC 3161 2.4.1); behind them stands the nonce, an INTEGER."""


def of_another_hash(query: bytes) -> bytes:
    at = query.index(_HASH) + len(_HASH)
    return query[:at] + hashlib.sha256(b"another checkpoint").digest() + query[at + 32 :]


def of_another_nonce(query: bytes) -> bytes:
    at = query.index(_HASH) + len(_HASH) + 32
    assert query[at] == 2, "no nonce was asked for"
    last = at + 1 + query[at + 1]
    return query[:last] + bytes([query[last] ^ 1]) + query[last + 1 :]


def to_be_refused(query: bytes) -> bytes:
    """Of a hash that this authority does not take: it answers, and grants nothing."""
    return query.replace(SHA_256, SHA_512)


@dataclass
class Authority:
    """A running authority. `hears`: what becomes of a query before it is answered. `instead`: what is answered instead, if anything."""

    url: str
    hears: Callable[[bytes], bytes] = bytes
    instead: bytes = b""


@contextmanager
def authority(folder: Path, port: int = 0) -> Iterator[Authority]:
    """On a port of this machine, any one by default, while it runs."""

    class Reply(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(running.instead or self.answer(running.hears(query)))

        def answer(self, query: bytes) -> bytes:
            (folder / "query.tsq").write_bytes(query)
            openssl(folder, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query.tsq", "-out", "reply.tsr")
            return (folder / "reply.tsr").read_bytes()

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Reply)
    running = Authority(f"http://127.0.0.1:{server.server_address[1]}/")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
