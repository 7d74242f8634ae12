"""The licences of every package we install, as SPDX expressions, and which of them a county may run.

From each package's own metadata; what says nothing usable is named here by hand. docs/licences.md is written from it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from boolean import Expression  # type: ignore[import-untyped]
from license_expression import ExpressionError, get_spdx_licensing  # type: ignore[import-untyped]

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "licences.md"
RUNTIME, EVERYTHING = ROOT / "deploy" / "requirements.lock", ROOT / "requirements.lock"

ALLOWED = frozenset(
    ("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "LGPL-3.0-only")
)
"""Permissive, or bound to the package's own files (MPL), or satisfied by a package that stands apart and can be replaced (LGPL:
psycopg, unchanged, installed by pip). The GPL and the AGPL are not among them: they would bind whoever is given Daohu.
"""

BY_HAND = {"colorama": "BSD-3-Clause"}
"""Packages of another system than this one: in the lock, never installed here."""

_WORDS = {
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 2-clause license": "BSD-2-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "psfl": "PSF-2.0",
}
_SPDX = get_spdx_licensing()


class Unlicensed(Exception):
    """A package whose licence is not known, or not one that is allowed."""


@dataclass(frozen=True, slots=True)
class Package:
    """A line of a lock: the files that count have one of these SHA-256."""

    name: str
    version: str
    hashes: tuple[str, ...]


def packages(lock: Path) -> list[Package]:
    """What a lock installs, by name. Raises ValueError for a package without a hash."""
    found = []
    for block in re.split(r"\n(?=[a-z0-9])", lock.read_text()):
        if head := re.match(r"([a-z0-9._-]+)==([^\s;]+)", block):
            hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", block))
            if not hashes:
                raise ValueError(f"{lock.name}: {head[1]} has no hash")
            found.append(Package(head[1], head[2], hashes))
    return sorted(found, key=lambda package: package.name)


def of(name: str) -> str:
    """The SPDX expression of a package. Raises Unlicensed."""
    if name in BY_HAND:
        return BY_HAND[name]
    about = metadata.metadata(name)
    said = [text for field in ("License-Expression", "License") for text in about.get_all(field) or []]
    said += [text.rpartition(" :: ")[2] for text in about.get_all("Classifier") or [] if text.startswith("License ::")]
    for text in said:
        expression = _WORDS.get(text.strip().lower(), text.strip())
        try:
            return str(_SPDX.parse(expression, validate=True))
        except ExpressionError:
            continue
    raise Unlicensed(f"{name}: no licence is known from {said}; look it up and name it in deploy/licences.py")


def require_allowed(name: str, expression: str) -> None:
    """Raises Unlicensed unless the expression can be satisfied by licences that are allowed."""
    if not _satisfied(_SPDX.parse(expression)):
        raise Unlicensed(f"{name}: {expression} is not a licence we may hand on (deploy/licences.py)")


def _satisfied(tree: Expression) -> bool:
    if isinstance(tree, _SPDX.OR):
        return any(map(_satisfied, tree.args))
    if isinstance(tree, _SPDX.AND):
        return all(map(_satisfied, tree.args))
    return str(tree) in ALLOWED


def page(licensed: Mapping[str, str]) -> str:
    """docs/licences.md. `licensed`: package → SPDX expression, of everything that is locked."""
    shipped = {package.name for package in packages(RUNTIME)}
    lines = [
        "# Licences",
        "",
        "Of every package in the locks, from the packages' own metadata (`make sbom` writes this page, `make lint` holds it true). The",
        f"image holds {len(shipped)} of them; the others are for developing. Allowed: {', '.join(sorted(ALLOWED))}.",
        "",
        "| package | version | licence | in the image |",
        "| --- | --- | --- | --- |",
    ]
    for one in packages(EVERYTHING):
        lines.append(f"| {one.name} | {one.version} | {licensed[one.name]} | {'yes' if one.name in shipped else ''} |")
    return "\n".join(lines) + "\n"
