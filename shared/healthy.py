"""`python -m shared.healthy URL`: whether that address answers 200, by the exit code. A container's health check, light enough to run often."""

import sys
from http.client import HTTPException
from urllib.error import URLError
from urllib.request import urlopen

TIMEOUT_S = 4.0
"""Below the health check's own time limit, so that the reason is printed before the check is cut off."""


def main() -> int:
    try:
        with urlopen(sys.argv[1], timeout=TIMEOUT_S):  # noqa: S310  the address stands in docker-compose.yml
            return 0
    except (HTTPException, URLError, TimeoutError, ConnectionError) as error:
        sys.stderr.write(f"{sys.argv[1]}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
