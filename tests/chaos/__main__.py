"""`python -m tests.chaos --kills 100 [--seed N]`: prints kills by place and every check; ends with 1 when one does not hold."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos import report
from tests.chaos.months import undisturbed
from tests.chaos.plan import LEAST_AT_POINT
from tests.chaos.run import under_fire

SHORT = 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="at least so many (100)")
    parser.add_argument("--seed", type=int, default=1, help="another seed kills elsewhere")
    parser.add_argument(
        "--short", action="store_true", help=f"{SHORT} kills, one at each named point; nothing is written down"
    )
    given = parser.parse_args()
    kills, least = (SHORT, 1) if given.short else (given.kills, LEAST_AT_POINT)
    with tempfile.TemporaryDirectory(prefix="daohu-chaos-") as folder:
        Path(folder).chmod(0o755)  # the user postgres goes through it to its own
        one, apart = Path(folder, "one"), Path(folder, "apart")
        one.mkdir()
        month, _ = undisturbed(one)
        outcome = under_fire(apart, month, kills=kills, seed=given.seed)
    row = report.row(outcome, kills, least)
    sys.stdout.write(report.text(row))
    sys.stdout.writelines(f"{wrong}\n" for wrong in outcome.wrong())
    if not given.short:
        report.write(row)
    return 0 if report.holds(row) else 1


if __name__ == "__main__":
    sys.exit(main())
