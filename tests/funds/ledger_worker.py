"""One process with a ledger writer, to be killed by a test: `python ledger_worker.py <database url> <tag> <file>`.

Posts without end and writes a line `ref number` for each answer as soon as it has it. Some refs are posted by all workers, some
commands are overdrafts of accounts that must never hold anything. Who is not answered asks again with the same ref.
"""

import asyncio
import os
import random
import sys
from itertools import count

from ledger_desk import fact_about, key, move

from services.funds.ledger.domain import Command, InsufficientFunds
from services.funds.ledger.postgres import PostgresWriter
from shared.errors import Unavailable

CALLERS = 24
SHARED, OVERDRAWN = 0.2, 0.02


def command(tag: str, n: int, rng: random.Random) -> Command:
    if rng.random() < OVERDRAWN:
        return move(f"{tag}-{n}!", 10**9, key("project", f"never:{n % 7}"), key("household", "never"))
    if rng.random() < SHARED:
        tag, rng = "all", random.Random(n)
    payer, payee = key("source", "F1"), key("household", str(rng.randrange(50)))
    return move(f"{tag}-{n}", rng.randrange(1, 1_000), payer, payee)


async def main(url: str, tag: str, file: str) -> None:
    writer = PostgresWriter(url)
    await writer.start()
    answers = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    numbers, rng = count(), random.Random(tag)

    async def caller() -> None:
        while True:
            wanted = command(tag, next(numbers), rng)
            while True:
                try:
                    posted = await writer.post(wanted, lambda seq, wanted=wanted: [fact_about(wanted, seq)])
                except Unavailable:
                    await asyncio.sleep(0.05)
                except InsufficientFunds:
                    break
                else:
                    os.write(answers, f"{wanted.ref} {posted.seq}\n".encode())
                    break

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
