"""Revoked tokens (吊销): of a subject, of one id, of everybody before an instant. A file that every process reads anew when it changes.

`daohu tokens revoke` writes it. An entry stays until no token it speaks of can be valid any more.
"""

from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, RootModel, ValidationError

from shared import keyfiles
from shared.auth import LONGEST, SKEW
from shared.issuer import MOVED_LIFE
from shared.keyfiles import KeyFileBroken
from shared.observability import log

FILE = "revoked.json"
MAX_ENTRIES = 10_000
"""Above it a county revokes all tokens before an instant, which is one entry."""
ALL, SUBJECT = "all", "subject:"


class TooManyRevoked(Exception):
    """The list is full."""


class _Entry(BaseModel):
    """Tokens issued up to `issued_until` do not count; the entry itself is forgotten after `kept_until`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issued_until: AwareDatetime
    kept_until: AwareDatetime


class _Entries(RootModel[dict[str, _Entry]]):
    """`subject:<name>`, `token:<jti>` or `all` → what of it is revoked."""


class Revocations:
    """What is revoked, as the verifier asks for it. Raises KeyFileBroken when the file cannot be read to begin with.

    Later a file that is broken or gone changes nothing: what was revoked stays so, and the log says it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at = keyfiles.mark(path)
        self._entries = _caseless(_read(path))

    def covers(self, subject: str, token_id: str, issued: datetime) -> bool:
        return any(
            (entry := self._entries.get(key)) is not None and issued <= entry.issued_until
            for key in (ALL, f"{SUBJECT}{subject.casefold()}", f"token:{token_id}")
        )

    def changed(self) -> bool:
        if (mark := keyfiles.mark(self._path)) == self._read_at:
            return False
        self._read_at = mark
        if mark is None:
            log("sign-in").error("revocations_gone")
            return False
        try:
            self._entries = _caseless(_read(self._path))
        except (OSError, KeyFileBroken) as error:
            log("sign-in").error("revocations_unreadable", error=type(error).__name__)
            return False
        log("sign-in").info("revocations_read", entries=len(self._entries))
        return True


def listed(path: Path, now: datetime) -> dict[str, datetime]:
    """What is revoked at present → the last instant of issue that it reaches. Raises KeyFileBroken."""
    return {key: entry.issued_until for key, entry in _read(path).items() if now < entry.kept_until}


def revoke_subject(path: Path, subject: str, *, now: datetime, moved_clock: bool = False) -> None:
    """All tokens that a person or account has at present. An issuer's clock may be ahead of ours, so for SKEW new ones neither."""
    _enter(path, f"{SUBJECT}{subject}", now + SKEW, now=now, moved_clock=moved_clock)


def revoke_token(path: Path, token_id: str, *, now: datetime, moved_clock: bool = False) -> None:
    """One token, by its `jti`."""
    _enter(path, f"token:{token_id}", datetime.max.replace(tzinfo=UTC), now=now, moved_clock=moved_clock)


def revoke_all(path: Path, until: datetime, *, now: datetime, moved_clock: bool = False) -> None:
    """Every token issued until then, whoever has it."""
    _enter(path, ALL, until, now=now, moved_clock=moved_clock)


def _enter(path: Path, key: str, issued_until: datetime, *, now: datetime, moved_clock: bool) -> None:
    longest = MOVED_LIFE if moved_clock else LONGEST
    with keyfiles.alone(path.parent):
        entries = {other: entry for other, entry in _read(path).items() if now < entry.kept_until}
        before = entries.get(key)
        reach = max(issued_until, before.issued_until) if before else issued_until
        entries[key] = _Entry(issued_until=reach, kept_until=now + longest + 2 * SKEW)
        if len(entries) > MAX_ENTRIES:
            raise TooManyRevoked(f"{MAX_ENTRIES} entries are the most. Revoke all tokens: --all-before now")
        keyfiles.public(path, _Entries(entries).model_dump_json(indent=1).encode() + b"\n")


def _caseless(entries: dict[str, _Entry]) -> dict[str, _Entry]:
    """Of what is revoked under names that differ in case alone, what reaches furthest: a directory may say either."""
    found: dict[str, _Entry] = {}
    for key, entry in entries.items():
        name = key.casefold() if key.startswith(SUBJECT) else key
        found[name] = max(entry, found.get(name, entry), key=lambda one: one.issued_until)
    return found


def _read(path: Path) -> dict[str, _Entry]:
    try:
        return _Entries.model_validate_json(path.read_bytes()).root
    except FileNotFoundError:
        return {}
    except ValidationError:
        raise KeyFileBroken(
            f"{path} is no list of revoked tokens. Move it away and run: daohu tokens revoke --all-before now"
        ) from None
