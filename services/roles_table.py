"""`daohu roles table`: who may do what, and where, from the routes that enforce it. `docs/roles.md` is its committed form."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from services import token_endpoint
from services.catalogue import NAMES
from shared.app import PUBLIC
from shared.http import Reach, Route
from shared.policy import Policy, PolicyBook
from shared.roles import TITLES, Role

ROOT = Path(__file__).parent.parent
COMMITTED, SHIPPED = ROOT / "docs" / "roles.md", ROOT / "policies"
EVERYBODY, BUT, OWN = "everybody", "everybody but ", " (own)"
FEW = 4
"""So many roles at most are named as exceptions of everybody."""

_TERM = re.compile(r"[（(]([^()（）]*[\u4e00-\u9fff][^()（）]*)[)）]")
_SENTENCE = re.compile(r"(?<=[^.])\.(?: |$)|[:;] ")

SERVICES = {
    "registry": "建档立卡 The register",
    "funds": "资金 Money",
    "assessment": "考核 Assessment",
    "notify": "短信提示 Prompts",
}
PACKS = {
    "registry.identification": "识别程序 Who acts in an identification",
    "registry.exit": "退出程序 Who acts in an exit",
    "registry.ledger_rights": "台账 Who keeps which ledger",
    "funds.approval_chain": "审批链 Who acts on projects and tranches",
    "funds.incompatible_roles": "不相容岗位 Acts that exclude each other",
}
ACTS = {
    "apply": "申报", "review": "审核", "approve": "审批", "release": "放行", "pay": "拨付", "hold": "预留资金",
    "payees": "录入收款账户",
}  # fmt: skip
LEDGERS = {"registration": "建档立卡", "monitoring": "动态监测", "measures": "帮扶措施"}
REACHES = {Reach.AREA: "辖区 area", Reach.COUNTY: "全县 county"}


@dataclass(frozen=True, slots=True)
class Act:
    """One row: an act in plain words, its address, who may do it, and what it reaches to.

    `kind`: of a route of several kinds, which one. `own`: those of `roles` who do it for themselves alone.
    """

    service: str
    method: str
    path: str
    kind: str
    says: str
    term: str
    roles: frozenset[Role]
    own: frozenset[Role]
    reach: Reach

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def reads(self) -> bool:
        return self.method == "GET"

    @property
    def address(self) -> str:
        """As the table names it: `POST /registry/v1/imports/{kind}` of one kind is `… kind=people`."""
        return f"{self.route} kind={self.kind}" if self.kind else self.route


class NoWords(ValueError):
    """A route does not say in English and Chinese what it does."""


def routers() -> dict[str, Sequence[APIRouter]]:
    """The routers of each service."""
    return {name: import_module(f"services.{name}.api").ROUTERS for name in NAMES}


def acts() -> list[Act]:
    """Every act of the four services, in the order of the code. Raises NoWords."""
    return [
        act
        for service, rooms in routers().items()
        for router in rooms
        for route in router.routes
        if isinstance(route, Route) and route.gate.roles
        for act in _acts_of(service, route)
    ]


def _acts_of(service: str, route: Route) -> Iterator[Act]:
    says = (route.endpoint.__doc__ or "").strip().split("\n")[0]
    term = _TERM.search(says)
    if term is None:
        raise NoWords(f"{route.path}: the first line of {route.name}'s docstring needs its Chinese term in parentheses")
    words = _SENTENCE.split(_TERM.sub("", says))[0]
    words = " ".join(words.split()).replace(" ,", ",").replace("|", "/")
    kinds = route.narrower or {"": ("", tuple(route.gate.roles))}
    for method in sorted(route.methods or ()):
        for kind, (title, roles) in kinds.items():
            yield Act(
                service=service,
                method=method,
                path=route.path,
                kind=kind,
                says=f"{words}: {kind}" if kind else words,
                term=f"{term[1]}：{title}" if kind else term[1],
                roles=frozenset(roles) & route.gate.roles,
                own=route.gate.own,
                reach=route.gate.reach,
            )


def _who(act: Act) -> str:
    """The roles by key, as `read` takes them apart again."""
    others = [role for role in Role if role not in act.roles]
    if len(others) <= FEW and not act.own:
        return BUT + ", ".join(others) if others else EVERYBODY
    return ", ".join(f"{role}{OWN if role in act.own else ''}" for role in Role if role in act.roles)


def _who_zh(act: Act) -> str:
    others = [TITLES[role].zh for role in Role if role not in act.roles]
    if len(others) <= FEW and not act.own:
        return f"除{'、'.join(others)}外人人" if others else "人人"
    named = (TITLES[role].zh + ("（本人）" if role in act.own else "") for role in Role if role in act.roles)
    return "、".join(named)


def as_markdown(table: Sequence[Act], packs: PolicyBook) -> str:
    """docs/roles.md: the routes' rights, and what the counties' packs leave of them."""
    cells = len(table) * len(Role)
    parts = [
        "# Who may do what (角色权限表)",
        "",
        "Made by `daohu roles table` from the routes that enforce it; `make lint` compares. Do not edit it by hand.",
        "",
        f"{len(Role)} roles × {len(table)} acts = {cells} cells. A role that a row does not name may not: 403 `forbidden`.",
        "`tests/integration/test_roles_table.py` asks for every cell in a running house.",
        "",
        "- **辖区 area**: what lies in the divisions of one's token and below them. Elsewhere there is nothing to see: lists are",
        "  without it, counts do not count it, and what is asked for by its id is answered like what does not exist.",
        "- **全县 county**: one for the county and without any row: forms, and size, hashes and keys of the signed log.",
        "- **(own) 本人**: for himself alone, in his area.",
        "- Further rules narrow a right, never widen it: whose turn it is in a procedure, who did an earlier act (another person",
        "  must do this one), and which office keeps which ledger. These stand in the policy pack; they answer with other codes.",
        "",
        "## Roles 角色",
        "",
        "| 角色 | Role | Key | There for | Acts | of these writes |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for role, title in TITLES.items():
        rights = [act for act in table if role in act.roles]
        writes = sum(not act.reads for act in rights)
        parts.append(f"| {title.zh} | {title.en} | `{role}` | {title.duty} | {len(rights)} | {writes} |")
    for service, heading in SERVICES.items():
        parts += ["", f"## {heading} (`{service}`)"]
        own = [act for act in table if act.service == service]
        parts += ["", *_rows("### 办理 Write", [act for act in own if not act.reads])]
        parts += ["", *_rows("### 查看 Read", [act for act in own if act.reads])]
    for policy in packs.list():
        if policy.key in PACKS:
            parts += ["", *_of_pack(policy)]
    parts += ["", "## Without a token 无需登录", "", "| Address | Why |", "| --- | --- |"]
    parts += [f"| `/<service>{path}` | {reason} |" for path, reason in PUBLIC.items()]
    parts += [f"| `{token_endpoint.PATH}` | {token_endpoint.REASON} |"]
    return "\n".join(parts) + "\n"


def _rows(heading: str, table: Iterable[Act]) -> list[str]:
    rows = [
        heading,
        "",
        "| 事项 | Act | 谁可以 | Who | 范围 Reach | Address |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return rows + [
        f"| {act.term} | {act.says} | {_who_zh(act)} | {_who(act)} | {REACHES[act.reach]} | `{act.address}` |"
        for act in table
    ]


def _of_pack(policy: Policy) -> list[str]:
    """What a county's pack says of who does what."""
    head = [f"## {PACKS[policy.key]} (`{policy.key}`, {policy.place}, from {policy.effective_from})", ""]
    if policy.key == "funds.incompatible_roles":
        said = (f"{ACTS[one]} ≠ {ACTS[other]} ({one} ≠ {other})" for one, other in policy.value)
        return [*head, "One person, or one and whom he stands in for, does not do both on the same object: 409 `same_person`.", "",
                *(f"- {pair}" for pair in said)]  # fmt: skip
    rows = (
        [(LEDGERS[ledger], ledger, "", roles) for ledger, roles in policy.value.items()]
        if policy.key == "registry.ledger_rights"
        else [(s["name"], s["name_en"], s["level"], s.get("actors") or s["roles"]) for s in _steps(policy.value)]
    )
    return [
        *head,
        "| 事项 | What | Level | 谁 | Who |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {zh} | {en} | {level} | {'、'.join(TITLES[Role(r)].zh for r in who)} | {', '.join(who)} |"
            for zh, en, level, who in rows
        ),
    ]


def _steps(value: Any) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = value["steps"] if isinstance(value, dict) else value
    return steps


@dataclass(frozen=True, slots=True)
class Row:
    """A row as the document says it: the address of an act, who may do it, who of them for himself alone."""

    address: str
    roles: frozenset[Role]
    own: frozenset[Role]
    reach: Reach

    @property
    def route(self) -> str:
        return self.address.partition(" kind=")[0]

    @property
    def kind(self) -> str:
        return self.address.partition(" kind=")[2]

    @property
    def reads(self) -> bool:
        return self.address.startswith("GET ")


def read(markdown: str) -> list[Row]:
    """The rows of docs/roles.md. Raises ValueError for a role or a reach that does not exist."""
    lines = [line for line in markdown.splitlines() if "/v1/" in line and line.endswith("` |")]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return [_row(who, reach, address.strip("`")) for *_, who, reach, address in cells]


def _row(who: str, reach: str, address: str) -> Row:
    names = who.removeprefix(BUT).split(", ")
    named = frozenset(Role(name.removesuffix(OWN)) for name in names if name != EVERYBODY)
    own = frozenset(Role(name.removesuffix(OWN)) for name in names if name.endswith(OWN))
    roles = frozenset(Role) - named if who == EVERYBODY or who.startswith(BUT) else named
    return Row(address, roles, own, Reach(reach.split()[-1]))
