"""Service accounts (服务账号) of the embedded mode: programs that sign in by an id and a secret, of which only a hash is kept.

`<home>/keys/accounts.json`, written by `daohu accounts`. A county with a provider of its own keeps its programs there instead.
"""

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, RootModel, ValidationError

from shared import keyfiles
from shared.errors import Refusal
from shared.keyfiles import KeyFileBroken
from shared.roles import Role

FILE = "accounts.json"
PREFIX = "account:"
"""Before its id, an account's subject: no person is called so."""
OF_PERSONS = frozenset(
    {Role.APPLICANT, Role.REVIEWER, Role.APPROVER, Role.PAYER, Role.RELEASER, Role.PRIVACY, Role.COUNTY_ADMIN}
)
"""Roles that apply, check or let go, or are given to a person: whoever has a secret would be a second one."""
MAX_ACCOUNTS = 200
MAX_SECRET = 200
NAME = re.compile(r"[a-z][a-z0-9-]{1,49}")

_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 1 << 14, 8, 1
"""16 MiB and some 40 ms (RFC 7914). A secret has 256 bits of chance, so it need not be slower than guessing it is hopeless."""


class AccountRefused(Refusal):
    """What is asked of the accounts cannot be done; the text says why."""

    code = "account_refused"


class Account(BaseModel):
    """What an account may be, and how its secret is recognised (`salt`, `digest`: hex)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: tuple[Role, ...]
    divisions: tuple[str, ...]
    since: AwareDatetime
    salt: str
    digest: str


class _Accounts(RootModel[dict[str, Account]]):
    """By id."""


_NOBODY_SALT, _NOBODY_DIGEST = "00" * 16, "00" * 32
"""An id that does not exist takes as long as one that does, and no secret fits it."""


def listed(path: Path) -> dict[str, Account]:
    """The accounts by id. Raises KeyFileBroken, KeyFileExposed."""
    if not path.exists():
        return {}
    try:
        return _Accounts.model_validate_json(keyfiles.secret(path, _none)).root
    except ValidationError:
        raise KeyFileBroken(f"{path} holds no accounts. Move it away and add them again: daohu accounts add") from None


def add(path: Path, name: str, roles: list[Role], divisions: list[str], *, now: AwareDatetime) -> str:
    """Makes an account and answers its secret, which nobody can read again. Raises AccountRefused."""
    if not NAME.fullmatch(name):
        raise AccountRefused("An id has 2 to 50 characters: small letters, digits and hyphens, a letter first.")
    if theirs := sorted(OF_PERSONS.intersection(roles)):
        raise AccountRefused(f"These roles are a person's, not a program's: {', '.join(theirs)}. Leave them out.")
    secret, salt = secrets.token_urlsafe(32), secrets.token_bytes(16)
    with keyfiles.alone(path.parent):
        accounts = listed(path)
        if name in accounts:
            raise AccountRefused(f"There is an account {name} already. Remove it first; its tokens end then.")
        if len(accounts) >= MAX_ACCOUNTS:
            raise AccountRefused(f"{MAX_ACCOUNTS} accounts are the most.")
        accounts[name] = Account(
            roles=tuple(roles),
            divisions=tuple(divisions),
            since=now,
            salt=salt.hex(),
            digest=_digest(secret, salt.hex()),
        )
        _write(path, accounts)
    return secret


def remove(path: Path, name: str) -> None:
    """Raises AccountRefused when there is no such account."""
    with keyfiles.alone(path.parent):
        accounts = listed(path)
        if accounts.pop(name, None) is None:
            raise AccountRefused(f"There is no account {name}.")
        _write(path, accounts)


def recognise(account: Account | None, secret: str) -> bool:
    """Whether this is the account's secret; without an account never, and it takes as long. Some 40 ms of a processor."""
    salt, digest = (account.salt, account.digest) if account else (_NOBODY_SALT, _NOBODY_DIGEST)
    same = hmac.compare_digest(_digest(secret[:MAX_SECRET], salt), digest)
    return same and account is not None


def _digest(secret: str, salt: str) -> str:
    raw = hashlib.scrypt(
        secret.encode(), salt=bytes.fromhex(salt), n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, maxmem=1 << 26
    )
    return raw[:32].hex()


def _write(path: Path, accounts: dict[str, Account]) -> None:
    keyfiles.replace(path, _Accounts(accounts).model_dump_json(indent=1).encode() + b"\n")


def _none() -> bytes:
    return b"{}"
