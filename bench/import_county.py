"""The whole county file, XLSX: read, checked, written with its history, its events recorded; beside a prepared COPY."""

import json
import subprocess
import sys
from collections.abc import Callable

from bench.county_file import county_files, divisions_file
from bench.env import Env
from bench.floors import copy, rows
from bench.harness import Case

IN_FILE = ("household", "member")
WRITTEN = (*IN_FILE, "member_identity", "household_income", "household_history", "outbox")


class County:
    """The county's file, and a registry of its own for each time it is taken over."""

    def __init__(self, env: Env) -> None:
        self.env = env
        self.folder = env.room("county")
        self.divisions = divisions_file(self.folder / "divisions.xlsx", 0)
        [self.file] = county_files(self.folder)
        self.peaks_mb: dict[str, float] = {}
        self._runs = 0

    def take_over(self, kind: str, url: str) -> float:
        """Seconds, from the first byte of the request to its answer, in a fresh process."""
        self._runs += 1
        home = self.env.room(f"home-{self._runs}")
        line = [
            sys.executable,
            "-m",
            "bench.registry_worker",
            url,
            str(home),
            str(self.divisions),
            "--",
            str(self.file),
        ]
        done = subprocess.run(line, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        said = json.loads(done.stdout.splitlines()[-1])
        self.peaks_mb[kind] = max(self.peaks_mb.get(kind, 0.0), said["peak_mb"])
        return float(said["seconds"])

    def on_postgres(self) -> float:
        server = self.env.postgres
        name = server.take()
        try:
            return self.take_over("postgresql", server.url(name))
        finally:
            server.give_back(name)

    def on_sqlite(self) -> float:
        path = self.folder / "registry.db"
        for old in self.folder.glob("registry.db*"):
            old.unlink()
        return self.take_over("sqlite", f"sqlite:///{path}")

    def peak(self, kind: str, run: Callable[[], float]) -> Callable[[], float]:
        """The largest resident set of the runs before, in MB: the whole process, interpreter and libraries included."""

        def measure() -> float:
            if kind not in self.peaks_mb:
                run()
            return self.peaks_mb[kind]

        return measure


def cases(env: Env) -> list[Case]:
    county = County(env)
    url = env.postgres.url(env.postgres.take())
    county.take_over("prepared", url)
    all_rows, file_rows = copy.prepare(url, "all_rows", WRITTEN), copy.prepare(url, "file_rows", IN_FILE)
    county.on_sqlite()
    sqlite_rows = rows.prepare(county.folder / "registry.db", county.folder / "twin.db", WRITTEN)
    pg, lite = county.on_postgres, county.on_sqlite
    what = "county file, XLSX, 23,450 households, 75,777 people"
    return [
        Case(f"{what}: PostgreSQL", "s", "at most", 4, pg, all_rows, against="prepared COPY of every row it writes, with indexes"),
        Case(f"{what}: PostgreSQL, strictest", "s", "at most", 4, pg, file_rows, against="prepared COPY of households and people alone, without identities, incomes, history and events"),
        Case("… peak memory, PostgreSQL", "MB", "at most", 400, county.peak("postgresql", pg), rounds=1),
        Case(f"{what}: SQLite", "s", "at most", 4, lite, sqlite_rows, against="prepared executemany of every row it writes, with indexes"),
        Case("… peak memory, SQLite", "MB", "at most", 400, county.peak("sqlite", lite), rounds=1),
    ]  # fmt: skip
