"""Where a deployment keeps its keys: files under `<home>/keys`, made on first use and readable by their owner only."""

from pathlib import Path

from shared.auth import LocalIssuer, Verifier
from shared.clock import Clock
from shared.pii import Vault
from shared.settings import Settings


def issuer(home: Path) -> LocalIssuer:
    """The local issuer of tokens (embedded mode)."""
    return LocalIssuer(home / "keys" / "issuer.pem")


def verifier(settings: Settings, clock: Clock) -> Verifier:
    return Verifier([issuer(settings.home)], clock=clock)


def vault(settings: Settings) -> Vault:
    return Vault.at(settings.home / "keys" / "vault.json")
