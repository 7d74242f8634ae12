"""The two locks name the same packages in the same versions, and neither names an address of its own."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> int:
    locked = {
        p["name"]: p["version"]
        for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"]
        if p["name"] != "daohu"
    }
    text = (ROOT / "requirements.lock").read_text()
    exported = dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))
    wrong = [
        f"{name}: uv.lock {locked.get(name)}, requirements.lock {version}"
        for name, version in exported.items()
        if locked.get(name) != version
    ]
    if "--index-url" in text or "--find-links" in text or "://" in re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE):
        wrong.append("requirements.lock names an address")
    if len(exported) < 20:
        wrong.append("requirements.lock is not what `make lock` writes")
    for line in wrong:
        sys.stderr.write(f"{line}; run `make lock`\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
