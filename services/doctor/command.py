"""`daohu doctor` (体检): one line a finding, and what to do. Changes nothing."""

import asyncio
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from services.terminal import HOME, Home, fail, out


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
    home: Home = HOME,
) -> None:
    """Look at everything this deployment stands on, and say what to do (体检): clock, keys, databases, topics, what waits, the
    backup, the log, the disk. It changes nothing and may run beside everything.

    Ends with 0 when all is well, 1 when something wants to be looked at soon, 2 when something is wrong. In a process of a cluster
    it sees the database of its own service; with the environment of `daohu migrate`, all four.
    """
    import orjson

    from services.doctor.examination import examine
    from services.doctor.findings import EXIT_CODES, State, worst
    from shared.observability import configure_logs

    configure_logs("ERROR")
    if not home.is_dir():
        raise fail(f"There is no home at {home}. Give --home or DAOHU_HOME. 没有该目录。", 2)
    findings = asyncio.run(examine(home))
    state = worst(findings)
    if as_json:
        sys.stdout.buffer.write(orjson.dumps({"state": state, "findings": [asdict(each) for each in findings]}) + b"\n")
    else:
        for finding in findings:
            out.print(
                str(finding),
                highlight=False,
                markup=False,
                style={State.OK: "", State.WARN: "yellow"}.get(finding.state, "red"),
            )
    raise typer.Exit(EXIT_CODES[state])
