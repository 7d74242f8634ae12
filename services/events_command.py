"""`daohu events …` and `daohu replay`: the contracts, and what people do about events that could not be handled (死信)."""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from services.terminal import HOME, Home, databases_in_hand, err, fail, out

events_app = typer.Typer(no_args_is_help=True, help="Event contracts, and events that could not be handled (死信).")
dlq_app = typer.Typer(no_args_is_help=True, help="Dead letters: look at them, try again, or discard with a reason.")
events_app.add_typer(dlq_app, name="dlq")

Service = Annotated[str, typer.Argument(help="registry, funds, assessment or notify")]
Actor = Annotated[str, typer.Option(help="who does this; it is kept")]
Reason = Annotated[str, typer.Option(help="why; it is kept")]


@contextmanager
def _quietly() -> Iterator[None]:
    """Only warnings, on standard error; refusals in one line."""
    from shared.observability import configure_logs

    configure_logs("WARNING")
    with databases_in_hand():
        yield


@events_app.command("list")
def events_list() -> None:
    """List the contracts: type, topic, key, who hears it."""
    from shared.events import contracts
    from shared.events.base import REGISTRY

    assert contracts.MODULES
    for name, event in REGISTRY.items():
        heard = ", ".join(event.consumers) or "nobody in the house"
        out.print(f"{name}  topic {event.topic} · key {event.key_field} · heard by {heard}", highlight=False)


@events_app.command("show")
def events_show(name: Annotated[str, typer.Argument(help="a type, for example registry.household_exited.v1")]) -> None:
    """Print the JSON Schema of an event."""
    from shared.events import contracts
    from shared.events.base import REGISTRY

    if name not in REGISTRY:
        raise fail(f"No event is called {name}. `daohu events list` names them.", 2)
    sys.stdout.write(json.dumps(contracts.schema_of(REGISTRY[name]), ensure_ascii=False, indent=2) + "\n")


@dlq_app.command("list")
def dlq_list(
    service: Annotated[str | None, typer.Option(help="only of this service")] = None, home: Home = HOME
) -> None:
    """List dead and parked events. A parked one waits behind the dead one of its key.

    In a process of a cluster: those of its own service, whose database it was given.
    """
    from services import deadletters

    with _quietly():
        letters = asyncio.run(deadletters.everywhere(home, service))
    for name, letter in letters:
        kind, at = letter.headers.get("ce_type", "?"), letter.at.isoformat()
        line = (
            f"{name} {letter.id} {letter.state}  {kind} of {letter.key} · {letter.error} · {letter.tries} tries · {at}"
        )
        out.print(line, highlight=False, markup=False)
    out.print(f"{len(letters)} dead or parked")


@dlq_app.command("show")
def dlq_show(service: Service, id: int, home: Home = HOME) -> None:
    """Show one: where it came from, why it stopped, its envelope, and its body by fields: of their values only ids and areas."""
    from services import deadletters

    with _quietly():
        shown = asyncio.run(deadletters.show(home, service, id))
    for name, value in shown:
        out.print(f"{name:<14} {value}", highlight=False, markup=False)


@dlq_app.command("retry")
def dlq_retry(service: Service, id: int, actor: Actor, home: Home = HOME) -> None:
    """Handle a dead event again, then those parked behind it. In the embedded mode, stop `daohu up` first.

    Ends with 1 when it failed again: it stays dead, and what is parked stays parked.
    """
    from services import deadletters

    with _quietly():
        count, letter = asyncio.run(deadletters.retry(home, service, id, actor))
    out.print(f"{count} handled")
    if letter is not None:
        raise fail(f"{service} {letter.id} is dead: {letter.error}")


@dlq_app.command("discard")
def dlq_discard(service: Service, id: int, actor: Actor, reason: Reason, home: Home = HOME) -> None:
    """Give a dead event up, for a reason that is kept; those parked behind it follow. A fact about money is refused.

    In the embedded mode, stop `daohu up` first.
    """
    from services import deadletters

    with _quietly():
        count = asyncio.run(deadletters.discard(home, service, id, actor, reason))
    out.print(f"discarded, {count} parked behind it handled")


def replay(
    service: Service,
    actor: Actor,
    reason: Reason,
    topic: Annotated[str | None, typer.Option(help="only this topic; else all the service hears")] = None,
    since: Annotated[datetime | None, typer.Option(help="only what was sent since then (UTC)")] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="only this partition of the topic")] = None,
    offset: Annotated[int | None, typer.Option(min=0, help="only from this offset of the partition on")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, change nothing")] = False,
    home: Home = HOME,
) -> None:
    """Let a service take its past events again (重放). What it took before takes no second effect; its place stays as it is.

    It ends where the service was when the replay began. Interrupted, give the same command again. In the embedded mode, stop
    `daohu up` first. Example: `daohu replay assessment --since 2016-11-01 --actor me --reason "restored a backup"`
    """
    from services import deadletters
    from shared.consumer import TooManyDeadLetters
    from shared.replay import Choice, Stalled

    if partition is not None and topic is None:
        raise fail("--partition needs --topic", 2)
    if offset is not None and partition is None:
        raise fail("--offset needs --partition", 2)
    choice = Choice(topic, since.replace(tzinfo=since.tzinfo or UTC) if since else None, partition, offset)
    with _quietly():
        try:
            became = asyncio.run(deadletters.replay(home, service, choice, actor=actor, reason=reason, dry_run=dry_run))
        except (Stalled, TooManyDeadLetters) as error:
            raise fail(f"{type(error).__name__}: {error}. What was taken stays; give the command again.") from None
    _tell(became, dry_run=dry_run)


def _tell(became: Mapping[str, int], *, dry_run: bool) -> None:
    from shared.consumer import KNOWN, PASSED, TAKEN
    from shared.dead_letters import DEAD, PARKED

    words = {TAKEN: "taken", KNOWN: "done before", PARKED: "parked", DEAD: "dead", PASSED: "of no concern"}
    if dry_run:
        err.print("a dry run: nothing was changed")
    out.print(" · ".join(f"{became.get(name, 0)} {word}" for name, word in words.items()), highlight=False)
