"""`python -m services.codes_table check` or `write`: the codes of refusals in docs/api.md, made from the refusals themselves"""

import pkgutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import services
import shared
from services.catalogue import NAMES
from shared.errors import Refusal

COMMITTED = Path(__file__).parent.parent / "docs" / "api.md"
BEGIN, END = "<!-- codes: made by python -m services.codes_table write -->", "<!-- codes: end -->"

KIT, IMPORTS, SIGN_IN = "every service", "imports of files", "`/auth/v1/token`"
SPEAKERS = {"shared.imports": IMPORTS, "shared.sheets": IMPORTS, "services.token_endpoint": SIGN_IN}
COMMANDS = frozenset({"shared.accounts", "shared.dead_letters", "shared.migrate", "shared.replay"})
"""Modules whose refusals are said by `daohu …`, at no address."""
SIGN_IN_CASES = frozenset({"TokenRefused", "UnknownKey", "FormRefused"})
"""Refusals whose code is the case's: docs/sign-in.md lists them."""
REPEAT = "↻"


def refusals() -> list[type[Refusal]]:
    """Every kind of refusal of this code, its own modules alone, in the order of their names."""
    for package in (shared, services):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in module.name and not module.name.endswith("__main__"):
                import_module(module.name)
    return sorted(_below(Refusal), key=lambda kind: (kind.__module__, kind.__name__))


def _below(kind: type[Refusal]) -> set[type[Refusal]]:
    children = kind.__subclasses__()
    return {*children}.union(*map(_below, children))


def _speaker(kind: type[Refusal]) -> str:
    module = kind.__module__.split(".")
    if module[0] == "services" and module[1] in NAMES:
        return module[1]
    return SPEAKERS.get(".".join(module[:2]), KIT)


def rows() -> Iterator[str]:
    yield "| said by | status | codes |"
    yield "| --- | --- | --- |"
    said: dict[tuple[str, int], set[str]] = defaultdict(set)
    for kind in refusals():
        if kind.__module__.split(".")[0] not in ("shared", "services") or kind.__module__ in COMMANDS:
            continue
        if kind.__name__ not in SIGN_IN_CASES:
            said[_speaker(kind), kind.status].add(f"`{kind.code}`{REPEAT if kind.retryable else ''}")
    for speaker in (KIT, IMPORTS, SIGN_IN, *NAMES):
        for (who, status), codes in sorted(said.items()):
            if who == speaker:
                yield f"| {who} | {status} | {' '.join(sorted(codes))} |"


def written(page: str) -> str:
    """The page with its table made anew."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return "\n".join([head + BEGIN, *rows(), END + tail])


def main() -> None:
    page = COMMITTED.read_text(encoding="utf-8")
    if sys.argv[1:] == ["write"]:
        COMMITTED.write_text(written(page), encoding="utf-8")
    elif page != written(page):
        sys.exit(f"{COMMITTED.name} is not what the refusals say. Run: make contracts")


if __name__ == "__main__":
    main()
