"""Step 1: the county's files come in; those with wrong rows go back with every wrong cell marked."""

from typing import Any

from demo import cast
from demo.county.model import File
from demo.driver import Who
from demo.month.stage import Stage, check
from shared.scope import Level

_ORDER: tuple[tuple[str, str, Who], ...] = (
    ("divisions", "registry", cast.STATISTICS),
    ("households", "registry", cast.STATISTICS),
    ("people", "registry", cast.STATISTICS),
    ("measures", "registry", cast.POVERTY_OFFICE),
    ("payees", "funds", cast.FINANCE),
    ("directory", "assessment", cast.POVERTY_OFFICE),
    ("contacts", "notify", cast.POVERTY_OFFICE),
)
"""Import kind, its service, and whose file it is."""

_HEARD_FIRST = frozenset({"payees", "directory", "contacts"})
"""These speak of households, divisions and cadres that their service knows from events only."""


class Imports:
    """The files of the county, and what became of them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._rows = 0
        self._files = 0
        self._wrong = 0

    def send_back_bad_rows(self) -> None:
        """A file with wrong rows: nothing is entered, the annotated sheet comes back. Source: REG-029."""
        stage, driver = self._stage, self._stage.driver
        assert stage.county.bad_rows is not None
        data = stage.county.bad_rows.read_bytes()
        answer = driver.upload(
            cast.STATISTICS, "/registry/v1/imports/households", "import:bad-rows", data, mode="all", dry_run="true"
        )
        check(answer["rejected"] > 0, "the file with bad rows was taken without an error")
        self._wrong = answer["rejected"]
        report = driver.ask(cast.STATISTICS, "GET", answer["report"]).content
        (stage.out / "bad-rows-annotated.xlsx").write_bytes(report)
        stage.say(
            f"退回一份有错误的表：{self._wrong} 行被标注，未写入任何数据",
            f"a file with {self._wrong} wrong rows went back annotated; nothing was entered",
        )

    def take_over(self) -> None:
        """All files, in the order in which one needs the other."""
        for kind, service, who in _ORDER:
            files = self._stage.county.of_kind(kind)
            if kind in _HEARD_FIRST:
                self._stage.driver.clock(cast.ADMIN)
            for number, file in enumerate(files):
                self._take(service, who, file, number)
            if files:
                rows = sum(file.rows for file in files)
                self._stage.say(
                    f"导入 {kind}：{len(files)} 个文件，{rows:,} 行",
                    f"imported {kind}: {rows:,} rows in {len(files)} files",
                )
        self._stage.driver.clock(cast.ADMIN)

    def _take(self, service: str, who: Who, file: File, number: int) -> None:
        answer = self._stage.driver.upload(
            who,
            f"/{service}/v1/imports/{file.kind}",
            f"import:{file.kind}:{number}",
            file.path.read_bytes(),
            mode="all",
        )
        check(
            answer["state"] == "applied",
            f"{file.path.name}: {answer['rejected']} rows rejected: {answer['errors'][:3]}",
        )
        check(answer["rows"] == file.rows, f"{file.path.name}: {answer['rows']} rows instead of {file.rows}")
        self._rows += file.rows
        self._files += 1

    def divisions(self) -> dict[str, int]:
        """How many towns and villages the registry lists."""
        listed = self._stage.driver.pages(cast.STATISTICS, "/registry/v1/divisions")
        levels = [division["level"] for division in listed]
        return {"towns": levels.count(Level.TOWN), "villages": levels.count(Level.VILLAGE)}

    def result(self) -> dict[str, Any]:
        return {"files": self._files, "rows": self._rows, "rows_sent_back": self._wrong}
