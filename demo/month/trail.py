"""Step 4: an auditor follows the money, from a fund down to each household and from a household up to its funds."""

import zipfile
from collections import Counter
from io import BytesIO
from typing import Any

from demo import cast
from demo.month.money import Money
from demo.month.stage import Stage, check

BUNDLE, KEY, CHECKPOINT = "bundle.zip", "funds.vkey", "witnessed.txt"
"""Papers the auditor takes home: the proofs, the log's public key, and the checkpoint seen today."""


class Trail:
    """The trail both ways, its proof, and the gaps."""

    def __init__(self, stage: Stage, money: Money) -> None:
        self._stage, self._money = stage, money
        self._found: dict[str, Any] = {}

    def open_audit(self) -> None:
        """The county's head lets the audit bureau look into the month: without it no auditor is answered (审计立项)."""
        order = {
            "auditors": [cast.AUDITOR.subject],
            "divisions": [cast.COUNTY],
            "since": "2016-10-31",
            "until": "2016-12-31",
            "object": "2016年扶贫专项资金",
            "reason": "年度审计计划",
        }
        self._stage.driver.post(cast.COUNTY_LEADER, "/registry/v1/engagements", "audit", order)

    def follow(self) -> None:
        """Down from each fund, up from one household, and the papers that prove it without us."""
        down = self._down()
        up = self._up(self._stage.county.leaver.number)
        mine = sum(shares.get(self._stage.county.leaver.number, 0) for shares in down.values())
        check(mine == up["amount_fen"], f"down the trail {mine} fen, up the trail {up['amount_fen']} fen")
        records = self._take_papers(self._stage.county.leaver.number)
        gaps = self._stage.driver.pages(cast.AUDITOR, "/funds/v1/trail/gaps")
        self._found = {
            "funds": len(down),
            "households": len({number for shares in down.values() for number in shares}),
            "paid_fen": sum(sum(shares.values()) for shares in down.values()),
            "household": up,
            "entries": records,
            "gaps": {kind: sum(gap["kind"] == kind for gap in gaps) for kind in sorted({gap["kind"] for gap in gaps})},
        }
        self._stage.say(
            f"审计追溯：{len(down)} 项资金到 {self._found['households']} 户，逐户反查一致，存证 {records} 笔",
            f"the auditor followed {len(down)} funds to {self._found['households']} households and back; {records} entries proven",
        )

    def result(self) -> dict[str, Any]:
        return self._found

    def _down(self) -> dict[str, dict[str, int]]:
        """Fund → household → fen, with every level's sum checked against the one above."""
        driver = self._stage.driver
        found: dict[str, dict[str, int]] = {}
        for fund_no, source in self._money.sources.items():
            shares: Counter[str] = Counter()
            root = f"/funds/v1/trail/funds/{source}"
            for project in driver.pages(cast.AUDITOR, root):
                paid = 0
                for tranche in driver.pages(cast.AUDITOR, f"{root}/projects/{project['project_id']}"):
                    lines = driver.pages(cast.AUDITOR, f"{root}/tranches/{tranche['tranche_id']}")
                    total = sum(line["amount_fen"] for line in lines)
                    check(
                        total == tranche["paid_fen"], f"{tranche['tranche_no']}: {total} of {tranche['paid_fen']} fen"
                    )
                    paid += total
                    shares.update({line["household_no"]: line["amount_fen"] for line in lines})
                check(paid == project["paid_fen"], f"{project['project_no']}: {paid} of {project['paid_fen']} fen")
            found[fund_no] = shares
        return found

    def _up(self, number: str) -> dict[str, Any]:
        answer = self._stage.driver.get(cast.AUDITOR, f"/funds/v1/trail/households/{number}")
        sealed = [item["sealed"] for item in answer["items"]]
        check(bool(sealed) and all(sealed), f"the payments of {number} are not sealed")
        return {
            "household_no": number,
            "amount_fen": answer["amount_fen"],
            "by_fund": {part["fund_no"]: part["amount_fen"] for part in answer["by_fund"]},
            "payments": len(answer["items"]),
        }

    def _take_papers(self, number: str) -> int:
        """Writes bundle, key and checkpoint; returns how many entries the bundle proves."""
        driver, out = self._stage.driver, self._stage.out
        bundle = driver.ask(cast.AUDITOR, "GET", f"/funds/v1/trail/households/{number}/bundle").content
        (out / BUNDLE).write_bytes(bundle)
        (out / KEY).write_bytes(driver.ask(cast.AUDITOR, "GET", "/funds/v1/log-key").content)
        (out / CHECKPOINT).write_bytes(driver.ask(cast.AUDITOR, "GET", "/funds/v1/checkpoints/latest").content)
        with zipfile.ZipFile(BytesIO(bundle)) as papers:
            return sum(name.endswith(".tlog-proof") for name in papers.namelist())
