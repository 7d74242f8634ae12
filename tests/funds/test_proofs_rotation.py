"""The log's key is changed while entries come in: no checkpoint is without a signature that somebody knew before."""

from proofs_log import BOOK, Log, filled, log

from services.funds.proofs import logkeys
from services.funds.proofs.audit import verify_database
from services.funds.proofs.notes import open_checkpoint, read_keys
from services.funds.proofs.sequencer import origin_of
from services.funds.proofs.verify import verify_bundle

ORIGIN = origin_of(BOOK)


async def latest(it: Log) -> str:
    return (await it.get("/checkpoints/latest")).text


async def sealed(it: Log, ref: str) -> str:
    await it.post(ref)
    await it.seal()
    return await latest(it)


async def test_the_first_checkpoint_of_a_new_key_is_signed_by_both_and_the_next_by_it_alone(tmp_path, database_url):
    async with log(tmp_path, database_url) as it:
        await filled(it, 3)
        home, old = it.live.service.settings.home, logkeys.signers(it.live.service.settings.home)[0]
        new = logkeys.rotate_log_key(home)
        both, alone = await sealed(it, "after"), await sealed(it, "later")
        before, after = old.verifier(ORIGIN), logkeys.verifiers(home, ORIGIN)[0]
        assert (after.public, [signer.public for signer in logkeys.signers(home)]) == (new, [new])
        assert [open_checkpoint(both, [key]).size for key in (before, after)] == [4, 4]
        assert (both.count("\n— "), alone.count("\n— ")) == (2, 1)
        assert open_checkpoint(alone, [after]).size == 5


async def test_what_old_keys_signed_stays_verifiable(tmp_path, database_url):
    async with log(tmp_path, database_url) as it:
        await filled(it, 3)
        kept = await latest(it)
        home = it.live.service.settings.home
        for turn in range(2):
            logkeys.rotate_log_key(home)
            await sealed(it, f"after-{turn}")
        keys = read_keys((await it.get("/log-key")).text)
        assert len(keys) == 3
        for note in (kept, await latest(it)):
            report = await verify_database(it.url, note, keys)
            assert (report.exit_code, report.problems) == (0, [])
        (tmp_path / "bundle.zip").write_bytes((await it.get("/bundles", seq=[1, 5])).content)
        assert verify_bundle(tmp_path / "bundle.zip", keys).exit_code == 0


async def test_a_stolen_key_signs_nothing_more(tmp_path):
    async with log(tmp_path) as it:
        await filled(it, 3)
        home = it.live.service.settings.home
        new = logkeys.rotate_log_key(home, at_once=True)
        note = await sealed(it, "after")
        assert note.count("\n— ") == 1
        assert open_checkpoint(note, [logkeys.verifiers(home, ORIGIN)[0]]).size == 4
        assert [signer.public for signer in logkeys.signers(home)] == [new]
