"""Where a deployment keeps its keys: files under `<home>/keys`, readable by their owner only.

The embedded mode makes them on first use. The processes of a cluster only read them, so that no two have different ones:
`daohu migrate` or `daohu keys init` makes them, once.
"""

from pathlib import Path

from shared import keyfiles
from shared.auth import IssuerKey, LocalIssuer, Verifier
from shared.clock import Clock
from shared.pii import Vault
from shared.settings import Settings


def issuer(home: Path) -> LocalIssuer:
    """The local issuer of tokens."""
    return LocalIssuer(home / "keys" / "issuer.pem")


def verifier(settings: Settings, clock: Clock) -> Verifier:
    public = settings.home / "keys" / "issuer.pub"
    return Verifier([IssuerKey.at(public) if public.exists() else issuer(settings.home)], clock=clock)


def vault(settings: Settings) -> Vault:
    return Vault.at(settings.home / "keys" / "vault.json")


def make(home: Path) -> None:
    """Makes the keys of all services that are not there yet."""
    local = issuer(home)
    public = home / "keys" / "issuer.pub"
    if not public.exists():
        keyfiles.public(public, local.pem())
    Vault.at(home / "keys" / "vault.json")


def missing(settings: Settings) -> list[str]:
    """Key files that a process of a cluster needs and has not."""
    paths = [settings.home / "keys" / name for name in settings.key_files]
    return [str(path) for path in paths if not path.exists()]
