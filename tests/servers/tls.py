"""A certificate of this machine for tests, from an authority that nobody trusts who is not told to."""

from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.clock import SystemClock

LOOPBACK = IPv4Address("127.0.0.1")
LIFE = timedelta(days=1)


def make(folder: Path) -> tuple[Path, Path, Path]:
    """PEM files: the authority's certificate, the one of 127.0.0.1, its private key."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority, server = _name("Daohu tests' authority"), _name("127.0.0.1")
    named = {
        "authority.pem": _signed(authority, authority_key.public_key(), authority, authority_key, ca=True),
        "server.pem": _signed(server, key.public_key(), authority, authority_key, ca=False),
    }
    for name, certificate in named.items():
        (folder / name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "authority.pem", folder / "server.pem", folder / "server.key"


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signed(
    of: x509.Name, key: ec.EllipticCurvePublicKey, by: x509.Name, with_: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    now = SystemClock().now()  # TLS knows no clock but the machine's
    return (
        x509.CertificateBuilder()
        .subject_name(of)
        .issuer_name(by)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(LOOPBACK)]), critical=False)
        .sign(with_, hashes.SHA256())
    )
