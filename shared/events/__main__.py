"""`python -m shared.events write|check|release`: schemas, examples and docs/events.md from the pydantic models.

write    regenerates schemas/, examples/ (new ones only: an example once committed is never changed) and docs/events.md
check    exit 1 when a committed file differs from what the models say, or a released schema is broken
release  copies the present schemas to released/ (done by a release, by nobody else)
"""

import sys
from pathlib import Path

from shared.events import contracts

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs"


def main(command: str) -> int:
    if command == "write":
        contracts.write(HERE, DOCS)
        return 0
    if command == "release":
        contracts.write(HERE, DOCS)
        contracts.release(HERE)
        return 0
    if command == "check":
        problems = contracts.check(HERE, DOCS)
        for problem in problems:
            sys.stderr.write(f"{problem}\n")
        return 1 if problems else 0
    sys.stderr.write(__doc__ or "")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
