"""Policy packs: what differs between places is data, with unit, first day, source and basis for each value.

A pack is a YAML file of one place (policies/<place>.yaml). A look-up is (key, division, date) → the nearest ancestor of the
division that has a value in force on that date; a newer entry replaces an older one from its first day (XC-001).
Source: architecture.md 6. Nothing here does I/O except `PolicyBook.load`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import Refusal
from shared.policy_shapes import SHAPES, plain
from shared.scope import ancestors, is_division, prefix_of

MAX_PACK_BYTES = 1 << 20
MAX_PROBLEMS = 50
RULE_ID = re.compile(r"\b(?:REG|FND|ASM|NTF|XC)-\d{3}\b")

Basis = Literal["seed", "standard", "ours"]
PathKey = tuple[str | int, ...]


class PolicyMissing(Refusal):
    """No pack says it for this place and day: somebody has to decide it and enter it."""

    code = "policy_missing"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a pack, and where: line and column count from 1, `path` is the way of keys to it."""

    file: str
    line: int
    column: int
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.path + ': ' if self.path else ''}{self.reason}"


class PackRefused(ValueError):
    """A pack is wrong; nothing of it is used. `problems` names each place (at most MAX_PROBLEMS)."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems[:MAX_PROBLEMS])
        super().__init__("\n".join(map(str, self.problems)))


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Title(_Checked):
    zh: str
    en: str


class Entry(_Checked):
    """One dated value of a parameter, as the pack writes it."""

    value: Any
    unit: Annotated[str, Field(min_length=1)]
    effective_from: date
    effective_to: date | None = None
    basis: Basis
    source: Annotated[str, Field(min_length=4)]
    ours: Annotated[str, Field(min_length=4)] | None = None
    areas: dict[str, Any] = {}

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.effective_to is not None and self.effective_to < self.effective_from:
            raise ValueError("effective_to lies before effective_from")
        if self.basis == "seed" and not RULE_ID.search(self.source):
            raise ValueError("a value from a seed names its rule id in `source` (e.g. seed 003, REG-032)")
        if self.basis == "standard" and "standards.md" not in self.source:
            raise ValueError("a standard value names its section in `source` (e.g. standards.md 5.1)")
        return self


class Pack(_Checked):
    """The head of a pack. Its parameters are checked one by one."""

    place: Annotated[str, Field(pattern=r"^[a-z]{2,30}$")]
    name: str
    scope: Literal["prefecture", "county", "township"]
    division: str
    title: Title
    parameters: dict[str, Any]

    @model_validator(mode="after")
    def _scope_fits(self) -> Self:
        digits = {"prefecture": 4, "county": 6, "township": 9}[self.scope]
        if not is_division(self.division) or len(prefix_of(self.division)) != digits:
            raise ValueError(
                f'division must be the quoted 12-digit code of a {self.scope}, e.g. "610926000000" of a county'
            )
        return self


@dataclass(frozen=True, slots=True)
class Policy:
    """A value in force somewhere from some day on, with everything a reader needs to judge it."""

    place: str
    key: str
    division: str
    value: Any
    unit: str
    effective_from: date
    effective_to: date | None
    basis: Basis
    source: str
    ours: str | None

    def as_dict(self) -> dict[str, Any]:
        """As JSON: dates in ISO form."""
        return {
            **asdict(self),
            "effective_from": self.effective_from.isoformat(),
            "effective_to": self.effective_to and self.effective_to.isoformat(),
        }

    def in_force(self, on: date) -> bool:
        return self.effective_from <= on and (self.effective_to is None or on <= self.effective_to)


class PolicyBook:
    """All packs of a deployment. Values are shared: treat what `value` returns as read-only."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = tuple(policies)
        self._index: dict[tuple[str, str], list[Policy]] = {}
        for policy in sorted(policies, key=lambda p: p.effective_from, reverse=True):
            self._index.setdefault((policy.key, policy.division), []).append(policy)

    @classmethod
    def load(cls, directory: Path) -> "PolicyBook":
        """Reads every pack of a directory. Raises PackRefused with file, line, column, key path and reason of all that is wrong."""
        policies: list[Policy] = []
        problems: list[Problem] = []
        owner: dict[str, str] = {}
        for path in sorted(directory.glob("*.yaml")):
            try:
                read = _read_once(path.read_bytes(), path.name)
            except PackRefused as bad:
                problems += bad.problems
                continue
            for division in {policy.division for policy in read}:
                if (other := owner.setdefault(division, path.name)) != path.name:
                    problems.append(Problem(path.name, 1, 1, "", f"{other} already speaks for {division}"))
            policies += read
        if problems:
            raise PackRefused(problems)
        if not policies:
            raise PackRefused([Problem(str(directory), 1, 1, "", "there is no policy pack here")])
        return cls(policies)

    def value(self, key: str, division: str, on: date) -> Any:
        """The value of a parameter for a division (12 digits) on a business date, as plain data. Raises PolicyMissing."""
        return self.explain(key, division, on).value

    def explain(self, key: str, division: str, on: date) -> Policy:
        """The same with its unit, source, basis, and the division that has it. Raises PolicyMissing."""
        for place in ancestors(division):
            for policy in self._index.get((key, place), ()):
                if policy.in_force(on):
                    return policy
        raise PolicyMissing(
            f"No policy pack gives {key} for {division} on {on}. Enter it in the pack of the place, with its source.",
            key=key, division=division, on=on.isoformat(),
        )  # fmt: skip

    def list(self, place: str | None = None, basis: str | None = None) -> list[Policy]:
        """Every value of a place (default: of all), in the order of the packs. Raises LookupError when no pack is of this place.

        `basis="ours"` also lists values that are ours in part.
        """
        if place is not None and all(policy.place != place for policy in self._policies):
            raise LookupError(f"no pack is of {place}")
        return [
            policy
            for policy in self._policies
            if place in (None, policy.place)
            and (basis in (None, policy.basis) or (basis == "ours" and policy.ours is not None))
        ]


@lru_cache(64)
def _read_once(text: bytes, file: str) -> tuple[Policy, ...]:
    """The four services of one process read the same packs."""
    return tuple(read_pack(text, file))


def read_pack(text: bytes, file: str) -> list[Policy]:
    """The values of one pack. Raises PackRefused: everything that is wrong with it, each with line, column and reason."""
    tree = _Tree(text, file)
    head = tree.check(Pack, tree.data, ())
    if head is None:
        raise PackRefused(tree.problems)
    policies: list[Policy] = []
    for key, given in head.parameters.items():
        policies += _parameter(tree, head, key, given)
    if tree.problems:
        raise PackRefused(tree.problems)
    return policies


def _parameter(tree: "_Tree", head: Pack, key: str, given: Any) -> Iterator[Policy]:
    path: PathKey = ("parameters", key)
    if key not in SHAPES:
        close = get_close_matches(key, SHAPES, 1)
        hint = f"did you mean {close[0]}?" if close else "shared/policy_shapes.py lists the keys"
        tree.wrong(path, f"there is no parameter of this name; {hint}", at_key=True)
        return
    if given == []:
        tree.wrong(path, "a parameter has at least one entry")
    seen: set[date] = set()
    for at, raw in [((*path, i), e) for i, e in enumerate(given)] if isinstance(given, list) else [(path, given)]:
        entry = tree.check(Entry, raw, at)
        if entry is None:
            continue
        if entry.effective_from in seen:
            tree.wrong((*at, "effective_from"), "another entry of this parameter begins on the same day")
        seen.add(entry.effective_from)
        values = {head.division: (entry.value, (*at, "value"))}
        for division, value in entry.areas.items():
            if (
                not is_division(division)
                or division == head.division
                or not division.startswith(prefix_of(head.division))
            ):
                tree.wrong(
                    (*at, "areas", division),
                    f"this is no 12-digit code of a division inside {head.division}",
                    at_key=True,
                )
            values[division] = (value, (*at, "areas", division))
        for division, (value, where) in values.items():
            try:
                checked = plain(key, value)
            except ValidationError as error:
                tree.wrong_by(error, where)
                continue
            yield Policy(
                head.place, key, division, checked, entry.unit, entry.effective_from, entry.effective_to, entry.basis, entry.source, entry.ours
            )  # fmt: skip


def _compose(text: bytes) -> yaml.Node | None:
    """By libyaml where PyYAML has it: reading the packs is an eighth of a cold start otherwise. Raises YAMLError."""
    try:
        return yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)  # says better where


class _Tree:
    """A YAML document as plain data that still knows where in the file each part stands."""

    def __init__(self, text: bytes, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._seen: set[int] = set()
        self._marks: dict[PathKey, yaml.Mark] = {}
        self._key_marks: dict[PathKey, yaml.Mark] = {}
        if len(text) > MAX_PACK_BYTES:
            raise PackRefused([Problem(file, 1, 1, "", f"a pack has at most {MAX_PACK_BYTES} bytes")])
        try:
            node = _compose(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise PackRefused([Problem(file, line, column, "", error.problem or "this is not YAML")]) from None
        except (yaml.YAMLError, UnicodeDecodeError):
            raise PackRefused([Problem(file, 1, 1, "", "this is not YAML in UTF-8")]) from None
        if node is None:
            raise PackRefused([Problem(file, 1, 1, "", "the file is empty")])
        self._scalars = yaml.SafeLoader("")
        self.data = self._plain(node, ())
        if self.problems:
            raise PackRefused(self.problems)

    def check(self, model: type[BaseModel], data: Any, path: PathKey) -> Any:
        """The data as this model, or None with the problems noted."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            self.wrong_by(error, path)
            return None

    def wrong_by(self, error: ValidationError, path: PathKey) -> None:
        for e in error.errors():
            given = e["input"]
            shown = f" (it is {given!r})" if isinstance(given, str | int | float | bool | date) else ""
            at_key = e["type"] == "extra_forbidden"
            self.wrong((*path, *e["loc"]), e["msg"].removeprefix("Value error, ") + shown, at_key=at_key)

    def wrong(self, path: PathKey, reason: str, *, at_key: bool = False) -> None:
        """Notes a problem at the deepest part of `path` that the file has."""
        known = path
        while known not in self._marks and known:
            known = known[:-1]
        mark = (self._key_marks if at_key else self._marks).get(known, self._marks[known])
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, ".".join(map(str, path)), reason))

    def _plain(self, node: yaml.Node, path: PathKey) -> Any:
        self._marks[path] = node.start_mark
        if id(node) in self._seen:  # a small file could unfold into a huge value
            self.wrong(path, "YAML aliases are not used in packs; write the value out")
            return None
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            result: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = self._scalar(key_node, path)
                if not isinstance(key, str):
                    self.wrong(path, f"the key {key!r} is not text; put it in quotes")
                    continue
                if key in result:
                    self._marks[(*path, key)] = key_node.start_mark
                    self.wrong((*path, key), "this key occurs twice")
                self._key_marks[(*path, key)] = key_node.start_mark
                result[key] = self._plain(value_node, (*path, key))
            return result
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(child, (*path, i)) for i, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _scalar(self, node: yaml.Node, path: PathKey) -> Any:
        try:
            value = self._scalars.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, TypeError):
            self.wrong(path, f"{node.value!r} cannot be read")
            return None
        if isinstance(value, float):
            self.wrong(path, f"{node.value} is a decimal fraction; write shares as two integers and money as fen")
        return value
