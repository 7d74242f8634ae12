"""Where a deployment keeps its keys: files under `<home>/keys`, readable by their owner only.

The embedded mode makes them on first use. The processes of a cluster only read them, so that no two have different ones:
`daohu migrate` or `daohu keys init` makes them, once.
"""

import resource
from datetime import datetime
from pathlib import Path

from shared import issuer as local
from shared.auth import TrustedIssuer, Verifier
from shared.clock import Clock
from shared.issuer import MAX_LIFE, MOVED_LIFE, LocalIssuer, LocalKeys, longest_life
from shared.keyfiles import KeyFileBroken
from shared.keyring import RingFile
from shared.pii import Vault
from shared.revocation import FILE as REVOKED
from shared.revocation import Revocations
from shared.settings import Settings


def issuer(home: Path) -> LocalIssuer:
    """The local issuer of tokens."""
    return LocalIssuer(home / "keys" / local.PRIVATE)


def verifier(settings: Settings, clock: Clock) -> Verifier:
    """Checks tokens of the issuers that are trusted. Raises KeyFileBroken."""
    folder, trusted = settings.home / "keys", list[TrustedIssuer]()
    if settings.local_issuer:
        if not (folder / local.PUBLIC).exists():
            local.publish(folder)
        longest = MOVED_LIFE if settings.clock == "movable" else MAX_LIFE
        trusted.append(LocalKeys(folder / local.PUBLIC, clock=clock, longest=longest))
    if settings.oidc_issuers is not None:
        from shared import oidc  # an HTTP client that a house with only its own tokens never loads

        trusted += oidc.providers_of(oidc.issuers_at(settings.oidc_issuers))
    if not trusted:
        raise KeyFileBroken("Nobody's token would count: set DAOHU_OIDC_ISSUERS, or leave DAOHU_LOCAL_ISSUER on")
    return Verifier(trusted, clock=clock, revoked=Revocations(folder / REVOKED))


def rotate_issuer(home: Path, now: datetime, *, at_once: bool = False) -> str:
    """A new key for local tokens, whose id it answers. Tokens of the old one count until they expire; with `at_once` no more.

    Running processes notice within a second. `now`: the deployment's clock, in UTC.
    """
    return local.rotate(home / "keys", now, life=longest_life(home), at_once=at_once)


def vault(settings: Settings) -> Vault:
    """The deployment's vault. A process that has opened it leaves no core file: its keys would stand there in the open."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    return Vault.at(settings.home / "keys" / "vault.json")


def require(home: Path) -> None:
    """Raises KeyFileBroken or KeyFileExposed when there is a keyring that cannot be read; makes none."""
    file = RingFile(home / "keys" / "vault.json")
    if file.exists:
        file.read()


def make(home: Path) -> None:
    """Makes the keys of all services that are not there yet."""
    local.publish(home / "keys")
    Vault.at(home / "keys" / "vault.json")


def missing(settings: Settings) -> list[str]:
    """Key files that a process of a cluster needs and has not."""
    paths = [settings.home / "keys" / name for name in settings.key_files]
    return [str(path) for path in paths if not path.exists()]
