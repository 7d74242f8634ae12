"""What a money route takes from its request."""

from typing import Annotated

from fastapi import Depends, Request

from services.funds.orders.service import Money
from shared.http import idempotency_ref, request_hash


async def _money(request: Request) -> Money:
    return Money(
        ledger=request.app.state.ledger,
        ref=idempotency_ref(request),
        key=request.headers["idempotency-key"],
        request_hash=await request_hash(request),
    )


MoneyDep = Annotated[Money, Depends(_money)]
