"""SMS replies in every form: what a gateway may bring from a phone that anybody can hold."""

import json
import random
import unicodedata

from area_rule.town import WEEK

from tests.fuzz.crossed import NASTY
from tests.fuzz.house import Target
from tests.fuzz.judge import Input, Judge

PATH = "/notify/v1/inbound"
WORDS = (
    "退订", "TD", "td", "Ｔ", "已完成", "本周任务已完成。", "未完成", "1", "2", "是", "否", "Y", "STOP", "帮助", WEEK, "2016-W44 已完成", "【到户】", "回复",
    "610926190001011234", "13800138000", "6222020200000000000",
)  # fmt: skip
LETTERS = tuple(
    chr(n) for n in range(0x2FFFF) if unicodedata.category(chr(n))[0] != "C" or n < 0x20 or n in range(0xD7F0, 0xD810)
)
"""Every kind of letter; control characters and a few lone surrogates with them."""


def attack(target: Target, judge: Judge, count: int, seed: int) -> None:
    rng = random.Random(seed)
    for number in range(count):
        text = json.dumps(made(target, rng, number)).encode()
        given = Input("POST", PATH, {"content-type": "application/json"}, text)
        judge.see("replies", given, target.send(given))
        if judge.tally.enough:
            return


def made(target: Target, rng: random.Random, number: int) -> dict[str, object]:
    phones = [target.mine.phone(n) for n in range(1, 5)]
    senders = [
        *phones,
        *phones,
        f"+86{phones[0]}",
        f"86 {phones[1]}",
        target.theirs.phone(1),
        "10086",
        "１９９００００７００１",
        "+" * 20,
    ]
    message: dict[str, object] = {
        "from": rng.choice(senders),
        "text": _text(rng),
        "received_at": rng.choice(("2016-11-21T10:00:00+08:00", "2016-11-21T10:00:00Z", "2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z")),
        "message_ref": f"f-{number if rng.random() < 0.9 else 1}",
    }  # fmt: skip
    if rng.random() < 0.2:
        message[rng.choice(tuple(message))] = rng.choice(NASTY)
    return message


def _text(rng: random.Random) -> str:
    pieces = [
        rng.choice(WORDS) if rng.random() < 0.4 else "".join(rng.choices(LETTERS, k=rng.randrange(1, 20)))
        for _ in range(rng.randrange(0, 6))
    ]
    return rng.choice(("", " ", "\n", "　")).join(pieces) * rng.choice((1, 1, 1, 1, 3, 200))
