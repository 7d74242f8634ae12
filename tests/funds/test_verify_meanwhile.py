"""`daohu verify` while the county works: at no moment of a rotation, a batch or a seal does it take what is right for wrong."""

import asyncio
import fcntl
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from proofs_log import BOOK, Log, filled, log

from services.funds.ledger.domain import AccountKey, Posting
from services.funds.proofs import logkeys, sequencer
from services.funds.proofs.audit import verify_database
from services.funds.proofs.notes import Signer, read_keys
from services.funds.proofs.verify import verify_bundle
from services.keys_command import forget_log_key
from shared import keyfiles
from shared.testing import COUNTY, OTHER_TOWN, TOWN
from tests.servers import until

GIVEN_UP_S = 10


def home_of(it: Log) -> Path:
    return it.live.service.settings.home


async def all_right(it: Log, folder: Path) -> None:
    """The database, against its newest checkpoint, and a bundle under it, by the keys that are given out now."""
    keys = read_keys((await it.get("/log-key")).text)
    note = (await it.get("/checkpoints/latest")).text
    report = await verify_database(it.url, note, keys)
    assert (report.exit_code, report.problems) == (0, []), report
    (folder / "bundle.zip").write_bytes((await it.get("/bundles", seq=[1, report.checkpoint.size])).content)
    bundle = verify_bundle(folder / "bundle.zip", keys)
    assert (bundle.exit_code, bundle.problems) == (0, []), bundle


async def sealed_by(it: Log, signers: list[Signer], ref: str) -> None:
    """A checkpoint more, by a sequencer that read its keys some time ago and goes no further."""
    await it.post(ref)
    assert await sequencer._seal_some(it.live.service, signers, BOOK)


async def test_at_every_step_of_a_rotation_all_that_is_given_out_verifies(tmp_path, database_url):
    async with log(tmp_path, database_url) as it:
        await filled(it, 3)
        home, private = home_of(it), home_of(it) / "keys" / "funds-log.key"
        before, content = logkeys.signers(home), private.read_bytes()

        async def killed_between_the_two_files() -> None:
            logkeys.rotate_log_key(home)
            keyfiles.replace(private, content)
            await sealed_by(it, logkeys.signers(home), "one public key more")

        async def rotated() -> None:
            logkeys.rotate_log_key(home)

        async def sealed_by_who_read_his_keys_before() -> None:
            await sealed_by(it, before, "the old one alone")

        async def sealed_by_both_and_not_handed_over() -> None:
            await sealed_by(it, logkeys.signers(home), "both")

        async def rotated_once_more() -> None:
            logkeys.rotate_log_key(home)

        async def handed_over() -> None:
            await it.post("the newest, for the last time with others")
            await it.seal()
            assert len(logkeys.signers(home)) == 1
            await it.post("the newest alone")
            await it.seal()

        async def sealed_by_a_replica_that_read_its_keys_long_ago() -> None:
            await sealed_by(it, before, "the old one again")

        steps: list[Callable[[], Awaitable[None]]] = [
            killed_between_the_two_files, rotated, sealed_by_who_read_his_keys_before, sealed_by_both_and_not_handed_over,
            rotated_once_more, handed_over, sealed_by_a_replica_that_read_its_keys_long_ago,
        ]  # fmt: skip
        for step in steps:
            await step()
            await all_right(it, tmp_path)


async def test_keys_of_before_a_rotation_are_told_from_a_changed_log(tmp_path, database_url):
    """One line that says what to do, whatever the number of checkpoints: an auditor's key file is as old as his visit."""
    async with log(tmp_path, database_url) as it:
        await filled(it, 3)
        kept, old = (await it.get("/checkpoints/latest")).text, read_keys((await it.get("/log-key")).text)
        logkeys.rotate_log_key(home_of(it))
        for ref in ("both", "alone", "alone again"):
            await it.post(ref)
            await it.seal()
        report = await verify_database(it.url, kept, old)
        assert (report.exit_code, [problem.entry for problem in report.problems]) == (1, [None])
        said = "none of the given keys signed 2 checkpoints of the database (of 5 to 6 entries)"
        assert str(report.problems[0]).startswith(said)
        await all_right(it, tmp_path)


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """The file as root himself cannot write it, as on a read-only mount: sealed memory (memfd_create(2)) in its place."""
    memory = os.memfd_create(path.name, os.MFD_ALLOW_SEALING)
    os.fchmod(memory, 0o600)
    os.write(memory, path.read_bytes())
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    aside = path.rename(path.with_name("aside"))
    path.symlink_to(f"/proc/{os.getpid()}/fd/{memory}")
    try:
        yield
    finally:
        aside.rename(path)
        os.close(memory)


async def test_where_keys_are_read_only_sealing_goes_on_and_the_old_key_is_forgotten_by_command(tmp_path, capsys):
    """As with docker compose, whose workers see their keys read-only."""
    async with log(tmp_path) as it:
        await filled(it, 3)
        home = home_of(it)
        logkeys.rotate_log_key(home)
        await forget_log_key(home)
        assert "still signs beside it" in capsys.readouterr().out
        with read_only(home / "keys" / "funds-log.key"):
            for ref in ("both", "both again"):
                await it.post(ref)
                await it.seal()
            assert len(logkeys.signers(home)) == 2
            await all_right(it, tmp_path)
        await forget_log_key(home)
        assert len(logkeys.signers(home)) == 1
        await it.post("alone")
        await it.seal()
        await all_right(it, tmp_path)


async def test_with_a_key_that_nobody_can_check_nothing_is_signed(tmp_path):
    """The key file was lost while the house ran, and a new one made; the public keys are those of before."""
    async with log(tmp_path) as it:
        await filled(it, 3)
        (home_of(it) / "keys" / "funds-log.key").unlink()
        await it.post("not signed yet")
        with pytest.raises(keyfiles.KeyFileBroken, match="daohu keys rotate log --at-once"):
            await it.seal()
        await all_right(it, tmp_path)
        logkeys.rotate_log_key(home_of(it), at_once=True)
        await it.seal()
        assert (await it.get("/checkpoints/latest")).text.splitlines()[1] == "4"
        await all_right(it, tmp_path)


def test_public_keys_made_anew_beside_a_rotation_do_not_take_its_key_away(tmp_path):
    home, public = tmp_path, tmp_path / "keys" / "funds-log.pub"
    logkeys.make(home)
    public.unlink()
    with keyfiles.alone(home / "keys"):
        maker = threading.Thread(target=logkeys.make, args=(home,))
        maker.start()
        waits = f"-> FLOCK  ADVISORY  WRITE {os.getpid()} "
        until(lambda: waits in Path("/proc/locks").read_text(), GIVEN_UP_S, "who makes them waits for the folder")
        keyfiles.public(public, b"the new one\nthe old one\n")
    maker.join(GIVEN_UP_S)
    assert public.read_bytes() == b"the new one\nthe old one\n"


async def test_an_account_first_posted_to_twice_in_one_batch_is_of_the_first_ones_place(tmp_path, database_url):
    """A household that moves while two payments to it are written together."""
    async with log(tmp_path, database_url) as it:
        await it.post("begun")
        batches = it.writer.batches
        household = AccountKey("household", "H1", "F1")

        def paid_in(division: str) -> Awaitable[int]:
            from_fund = Posting(AccountKey("source", "F1", "F1"), -5, COUNTY)
            return it.post(division, postings=(from_fund, Posting(household, 5, division)))

        await asyncio.gather(paid_in(TOWN), paid_in(OTHER_TOWN))
        assert it.writer.batches - batches == 1
        await it.seal()
        await all_right(it, tmp_path)


async def test_a_book_is_right_whenever_it_is_looked_at_while_entries_come_and_are_sealed(tmp_path, database_url):
    async with log(tmp_path, database_url) as it:
        await filled(it, 3)
        over = asyncio.Event()

        async def post() -> None:
            number = 0
            while not over.is_set():
                await asyncio.gather(*(it.post(f"m{number}-{n}") for n in range(5)))
                number += 1

        async def seal() -> None:
            while not over.is_set():
                await it.seal()

        at_work = [asyncio.create_task(post()), asyncio.create_task(seal())]
        for turn in range(6):
            if turn == 2:
                logkeys.rotate_log_key(home_of(it))
            note = (await it.get("/checkpoints/latest")).text
            keys = read_keys((await it.get("/log-key")).text)
            report = await asyncio.to_thread(asyncio.run, verify_database(it.url, note, keys))
            assert (report.exit_code, report.problems) == (0, []), report
        over.set()
        await asyncio.gather(*at_work)
