"""The locks name the same packages in the same versions, and none names an address of its own."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent

EXPORTED = ("requirements.lock", "deploy/requirements.lock")
"""What pip reads: everything for developing, and what the image holds."""


def main() -> int:
    locked = {
        p["name"]: p["version"]
        for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"]
        if p["name"] != "daohu"
    }
    wrong = [line for lock in EXPORTED for line in wrong_in(lock, locked)]
    for line in wrong:
        sys.stderr.write(f"{line}; run `make lock`\n")
    return 1 if wrong else 0


def wrong_in(lock: str, locked: dict[str, str]) -> list[str]:
    """What is not as uv.lock says in one of the exported ones."""
    text = (ROOT / lock).read_text()
    exported = dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))
    wrong = [
        f"{name}: uv.lock {locked.get(name)}, {lock} {version}"
        for name, version in exported.items()
        if locked.get(name) != version
    ]
    if "--index-url" in text or "--find-links" in text or "://" in re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE):
        wrong.append(f"{lock} names an address")
    if len(exported) < 20:
        wrong.append(f"{lock} is not what `make lock` writes")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
