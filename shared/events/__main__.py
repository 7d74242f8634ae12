"""`python -m shared.events write|check|release`: schemas, examples, docs/events.md and docs/asyncapi.yaml from the models.

write    regenerates schemas/, examples/ (new ones only: an example once committed is never changed) and both documents
check    exit 1 when a committed file differs from what the models say, or a released schema is broken
release  copies the present schemas to released/ (done by a release, by nobody else)
"""

import sys
from pathlib import Path

from shared.events import asyncapi, contracts

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs"


def main(command: str) -> int:
    if command in ("write", "release"):
        contracts.write(HERE, DOCS)
        asyncapi.write(DOCS)
        if command == "release":
            contracts.release(HERE)
        return 0
    if command == "check":
        problems = contracts.check(HERE, DOCS) + asyncapi.check(DOCS)
        for problem in problems:
            sys.stderr.write(f"{problem}\n")
        return 1 if problems else 0
    sys.stderr.write(__doc__ or "")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
