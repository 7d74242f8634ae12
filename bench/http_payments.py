"""Payments posted through the HTTP API: receipts of a fund, the cheapest real act that moves money, on PostgreSQL.

Each is a request of its own with a key of its own: signed in, read, checked, its fund looked up, its entry composed, hashed, linked
and committed with full durability, its event in the outbox, its answer sent after the commit.
"""

from typing import Any

from bench.env import Env
from bench.harness import Case
from bench.http_load import Target
from bench.http_server import COUNTY

FUND = {
    "fund_no": "F01",
    "name": "中央财政专项扶贫资金",
    "level": "central",
    "year": 2016,
    "division": COUNTY,
    "document_no": "财农〔2016〕1号",
}


def receipt(number: int) -> dict[str, Any]:
    return {"amount_fen": 100, "received_on": "2016-11-01", "voucher_no": f"V{number}"}


def cases(env: Env) -> list[Case]:
    postgres = env.postgres
    target = env.stack.enter_context(Target("funds", env.room("funds"), postgres.url(postgres.take())))
    fund = target.post("/funds/v1/sources", FUND)["id"]
    return [
        Case(
            name="payments posted through the HTTP API, 32 callers",
            unit="requests/s",
            sense="at least",
            target=0.35,
            measure=lambda: target.rate(target.posts(f"/funds/v1/sources/{fund}/receipts", receipt), status=201),
            floor=lambda: target.rate(target.posts("/funds/v1/trivial", receipt)),
            against="a trivial POST route behind the same stack that takes the same body, 32 callers",
        )
    ]
