"""docker-compose.yml as data: what each service runs, under which environment, where it listens and how its health is asked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:-|:\?)(?P<rest>[^}]*))?\}")


class Unset(Exception):
    """The file needs a variable that nobody gave."""


@dataclass(frozen=True, slots=True)
class Part:
    """One service of the file, variables filled in. `port`: where it listens inside its container, 0 for nowhere."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: dict[str, str]
    health: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    restarts: bool = True
    stop_signal: str = "SIGTERM"
    published: str = ""
    mounts: dict[str, str] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        """Whether it runs our image."""
        return self.image.startswith("daohu:")

    @property
    def port(self) -> int:
        return int(self.command[self.command.index("--port") + 1]) if "--port" in self.command else 0

    @property
    def service(self) -> str:
        """registry, funds, …: what a process of ours runs."""
        return self.command[1] if self.command[:1] == ("run",) else ""

    @property
    def health_url(self) -> str:
        return self.health[-1] if self.health else ""


def parts(file: Path, given: Mapping[str, str]) -> dict[str, Part]:
    """The services of the default profile by name. Raises Unset."""
    whole = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {
        name: _part(name, _filled(what, given)) for name, what in whole["services"].items() if not what.get("profiles")
    }


def _part(name: str, what: dict[str, Any]) -> Part:
    [published] = what.get("ports", [""])
    bound = [str(mount).split(":") for mount in what.get("volumes", [])]
    return Part(
        name=name,
        image=what["image"],
        command=tuple(map(str, what.get("command", []))),
        environment={key: str(value) for key, value in what.get("environment", {}).items()},
        health=tuple(what.get("healthcheck", {}).get("test", ["CMD"])[1:]),
        after=tuple(what.get("depends_on", {})),
        restarts=what.get("restart") == "unless-stopped",
        stop_signal=what.get("stop_signal", "SIGTERM"),
        published=published,
        mounts={inside: outside for outside, inside, *_ in bound},
    )


def _filled(value: Any, given: Mapping[str, str]) -> Any:
    """With `${NAME}`, `${NAME:-default}` and `${NAME:?why}` put in, as docker compose does it."""
    if isinstance(value, dict):
        return {key: _filled(inner, given) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, given) for inner in value]
    if not isinstance(value, str):
        return value

    def put(found: re.Match[str]) -> str:
        said = given.get(found["name"], "")
        if not said and found["how"] == ":-":
            return found["rest"]
        if not said and found["how"] == ":?":
            raise Unset(f"{found['name']}: {found['rest']}")
        return said

    return _VARIABLE.sub(put, value)
