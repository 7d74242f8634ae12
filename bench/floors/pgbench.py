"""PostgreSQL's own one-row insert and commit, by pgbench: transactions a second."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.servers.postgres import Postgres, find_postgres

INSERT = "insert into floor_row (a, b, memo) values (:client_id, 1, 'one row and its commit');\n"


def one_row(server: Postgres, database: str, folder: Path, *, clients: int, seconds: float) -> Callable[[], float]:
    """Each client inserts a row and commits, over and over, prepared. The table is emptied before each measurement."""
    server.execute(
        "create table if not exists floor_row (id bigserial primary key, a bigint, b bigint, memo text)",
        database=database,
    )
    script = folder / f"floor-{clients}.sql"
    script.write_text(INSERT)
    line = [
        str(find_postgres() / "pgbench"), "-n", "-M", "prepared", "-f", str(script), "-c", str(clients), "-j", "1",
        "-T", str(max(1, round(seconds))), server.url(database),
    ]  # fmt: skip

    def measure() -> float:
        server.execute("truncate floor_row", database=database)
        done = subprocess.run(line, check=True, capture_output=True, text=True)
        [tps] = re.findall(r"tps = ([\d.]+)", done.stdout)
        return float(tps)

    return measure
