"""deploy/origin/nginx.conf at this machine's addresses: the same file, a name replaced by the replicas it stands for."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.integration.composed import ROOT, Part
from tests.servers import NotHere

_SERVER = re.compile(r"server (?P<name>[\w-]+):8000 resolve (?P<how>[^;]*);")


def find_nginx() -> str:
    """Raises NotHere."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NotHere("no nginx on this machine (apt-get install nginx-light)")
    return found


def configuration(part: Part, port: int, replicas: Mapping[str, Sequence[int]], folder: Path) -> str:
    """The configuration for `port`. `replicas`: the ports of each API's replicas by the API's name in the file.

    What is replaced must be there: a file that was changed so that this no longer fits is an AssertionError.
    """
    mounts = {inside: str(ROOT / outside) for inside, outside in part.mounts.items()}
    text = Path(mounts.pop("/etc/nginx/nginx.conf")).read_text(encoding="utf-8")
    text, servers = _SERVER.subn(
        lambda line: "".join(f"server 127.0.0.1:{port} {line['how']};" for port in replicas[line["name"]]), text
    )
    assert servers == len(replicas), f"{servers} upstreams for {len(replicas)} APIs"
    # Old nginx has no `resolve`; here addresses are known.
    text, resolvers = re.subn(r"^\s*resolver .*$", "", text, flags=re.MULTILINE)
    assert resolvers == 1
    inside = part.published.rpartition(":")[2]
    changes = {
        f"listen {inside};": f"listen 127.0.0.1:{port};",
        **mounts,
        "/tmp/": f"{folder}/",
        "/dev/stdout": f"{folder}/access.log",
        "/dev/stderr": "stderr",
    }
    for old in changes:
        assert old in text, f"the origin's configuration has no {old}"
    # In one pass: what stands in the place of one may hold another (a checkout under /tmp).
    text = re.sub("|".join(map(re.escape, changes)), lambda found: changes[found[0]], text)
    return f"user root;\n{text}" if os.geteuid() == 0 else text


def command(part: Part, nginx: str, config: Path) -> list[str]:
    """What the file runs, with this machine's nginx and configuration."""
    assert part.command[0] == "nginx"
    return [nginx, "-p", str(config.parent), "-e", "stderr", "-c", str(config), *part.command[1:]]
