"""shared.keyring: keys wrapped by a master key that lies apart, made anew while processes run, and what is said when one is lost."""

import base64
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.keyring import EPOCH, UNTAGGED, KeysUnreadable, MasterKeys, RingFile
from shared.pii import BlindIndex, KeyLost, Vault, forms

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
PHONE = "19900000001"


def plain_ring() -> str:
    """As homes of the first releases have it."""
    encoded = {name: base64.b64encode(name.encode().ljust(32)).decode() for name in ("k1", "blind")}
    return json.dumps({"current": "k1", "keys": {"k1": encoded["k1"]}, "blind": encoded["blind"]})


@pytest.fixture
def file(tmp_path: Path) -> RingFile:
    return RingFile(tmp_path / "keys" / "vault.json", {})


def plain_file(file: RingFile) -> None:
    file.path.parent.mkdir()
    file.path.write_text(plain_ring())
    file.path.chmod(0o600)


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at


def vault(file: RingFile, clock: Clock) -> Vault:
    return Vault(file.read(), file=file, clock=clock)


class TestWrapping:
    def test_the_file_holds_no_key_in_the_open(self, file: RingFile):
        secrets = [key.secret for key in (*file.read().data, *file.read().blind)]
        text = file.path.read_text()
        assert [secret for secret in secrets if base64.b64encode(secret).decode() in text] == []
        assert json.loads(text)["wrapped_by"] == "m1"

    def test_without_its_master_key_it_says_what_to_put_back(self, file: RingFile):
        file.read()
        file.master_path.unlink()
        with pytest.raises(KeysUnreadable) as refused:
            file.read()
        assert "Put it back" in str(refused.value)
        assert not file.master_path.exists()

    def test_another_master_key_opens_nothing(self, file: RingFile):
        file.read()
        file.master_path.write_text(MasterKeys(f"m1:{base64.b64encode(bytes(32)).decode()}").text())
        with pytest.raises(KeysUnreadable):
            file.read()

    def test_the_master_key_may_lie_elsewhere(self, tmp_path: Path):
        elsewhere = tmp_path / "safe" / "master"
        file = RingFile(tmp_path / "keys" / "vault.json", {"DAOHU_MASTER_KEY_FILE": str(elsewhere)})
        assert file.read() == file.read()
        assert elsewhere.exists()
        assert sorted(path.name for path in file.path.parent.iterdir()) == ["vault.json"]

    def test_a_new_master_key_wraps_the_same_keys_and_the_old_one_is_gone(self, file: RingFile):
        before, old = file.read(), file.master_path.read_text()
        assert file.follow_master() == "m2"
        after = file.read()
        assert (after.data, after.blind, after.wrapped_by) == (before.data, before.blind, "m2")
        file.master_path.write_text(old)
        with pytest.raises(KeysUnreadable):
            file.read()

    def test_a_master_key_of_the_environment_is_followed_by_the_one_before_it(self, file: RingFile):
        file.read()
        old = file.master_path.read_text().strip()
        given = RingFile(file.path, {"DAOHU_MASTER_KEY": old})
        with pytest.raises(KeysUnreadable) as refused:
            given.follow_master()
        assert "before it" in str(refused.value)
        new = f"m9:{base64.b64encode(b'9' * 32).decode()}"
        assert RingFile(file.path, {"DAOHU_MASTER_KEY": f"{new},{old}"}).follow_master() == "m9"
        assert RingFile(file.path, {"DAOHU_MASTER_KEY": new}).read().wrapped_by == "m9"

    @pytest.mark.parametrize("text", ["", "m1", "m1:AAAA", "M1:" + base64.b64encode(bytes(32)).decode()])
    def test_a_master_key_of_another_shape_is_refused_without_showing_it(self, text: str):
        with pytest.raises(KeysUnreadable) as refused:
            MasterKeys(text)
        assert "id:base64" in str(refused.value)

    def test_a_keyring_of_before_there_was_one_is_read_and_wrapped_with_its_first_change(self, file: RingFile):
        plain_file(file)
        before = file.read()
        assert (before.wrapped_by, [key.id for key in before.blind]) == ("", [UNTAGGED])
        file.follow("data", since=NOW)
        after = file.read()
        assert (after.wrapped_by, [key.id for key in after.data]) == ("m1", ["k1", "k2"])
        assert before.blind == after.blind

    def test_what_is_in_the_environment_cannot_be_changed(self, tmp_path: Path):
        file = RingFile(tmp_path / "vault.json", {"DAOHU_KEYS": plain_ring()})
        with pytest.raises(KeysUnreadable) as refused:
            file.follow("data", since=NOW)
        assert "DAOHU_KEYS" in str(refused.value)


class TestFollowing:
    def test_a_running_process_seals_with_a_new_key_once_it_is_due(self, file: RingFile):
        clock = Clock()
        running = vault(file, clock)
        file.follow("data", since=NOW + timedelta(seconds=5))
        running.refresh()
        assert running.seal("a", column="c", row="1").startswith("k1:")
        clock.at += timedelta(seconds=5)
        running.refresh()
        assert running.seal("a", column="c", row="1").startswith("k2:")

    def test_variables_that_are_empty_are_not_given(self, file: RingFile):
        empty = RingFile(file.path, dict.fromkeys(("DAOHU_KEYS", "DAOHU_MASTER_KEY", "DAOHU_MASTER_KEY_FILE"), ""))
        running = vault(empty, Clock())
        file.follow("data", since=EPOCH)
        running.refresh()
        assert running.current_key == "k2"

    def test_a_value_of_a_key_that_it_has_not_seen_is_opened_at_once(self, file: RingFile):
        clock = Clock()
        running = vault(file, clock)
        file.follow("data", since=NOW)
        sealed = vault(file, clock).seal("a", column="c", row="1")
        assert sealed.startswith("k2:")
        assert running.open(sealed, column="c", row="1") == "a"

    def test_a_keyring_that_cannot_be_read_now_changes_nothing(self, file: RingFile):
        running = vault(file, Clock())
        sealed = running.seal("a", column="c", row="1")
        file.path.write_text("{")
        running.refresh()
        assert running.open(sealed, column="c", row="1") == "a"

    def test_an_index_has_its_older_forms_until_the_older_key_is_retired(self, file: RingFile):
        clock = Clock()
        running = vault(file, clock)
        before = running.blind(PHONE, kind="phone")
        key = file.follow("blind", since=NOW)
        running.refresh()
        index = running.blind(PHONE, kind="phone")
        assert index.startswith(key.id)
        assert forms([index]) == {index: index, before: index}
        file.retire("blind", [before[:12]])
        running.refresh()
        assert running.blind(PHONE, kind="phone") == index
        assert not isinstance(running.blind(PHONE, kind="phone"), BlindIndex)

    def test_before_it_is_due_a_new_blind_key_is_looked_up_and_not_written(self, file: RingFile):
        """A process whose clock is ahead may have written it."""
        ahead, clock = Clock(), Clock()
        ahead.at += timedelta(minutes=1)
        before = vault(file, clock).blind(PHONE, kind="phone")
        file.follow("blind", since=NOW + timedelta(seconds=30))
        index = vault(file, clock).blind(PHONE, kind="phone")
        assert index == before
        assert vault(file, ahead).blind(PHONE, kind="phone") in forms([index])

    def test_indexes_of_before_keys_had_ids_stay_found(self, file: RingFile):
        plain_file(file)
        before = vault(file, Clock()).blind(PHONE, kind="phone")
        key = file.follow("blind", since=NOW)
        index = vault(file, Clock()).blind(PHONE, kind="phone")
        assert (len(before), len(index), index[:12]) == (64, 64, key.id)
        assert before in forms([index])

    def test_the_newest_key_is_never_retired(self, file: RingFile):
        file.retire("data", ["k1"])
        assert [key.id for key in file.read().data] == ["k1"]

    def test_an_id_is_not_given_twice(self, file: RingFile):
        file.follow("data", since=EPOCH)
        file.retire("data", ["k1"])
        assert file.follow("data", since=EPOCH).id == "k3"


class TestALostKey:
    @pytest.fixture
    def damaged(self, file: RingFile) -> tuple[RingFile, str]:
        """k1 sealed something and cannot be unwrapped any more; k2 is there."""
        sealed = vault(file, Clock()).seal("a", column="c", row="1")
        file.follow("data", since=EPOCH)
        said = json.loads(file.path.read_text())
        said["data"][0]["key"] = base64.b64encode(bytes(40)).decode()
        file.path.write_text(json.dumps(said))
        return file, sealed

    def test_the_rest_goes_on_and_what_it_sealed_has_a_code_of_its_own(self, damaged: tuple[RingFile, str]):
        file, sealed = damaged
        running = vault(file, Clock())
        assert running.open(running.seal("b", column="c", row="1"), column="c", row="1") == "b"
        with pytest.raises(KeyLost) as lost:
            running.open(sealed, column="c", row="1")
        assert (lost.value.code, lost.value.facts) == ("sealed_key_lost", {"key": "k1"})
        assert running.open_if_here(sealed, column="c", row="1") is None

    def test_nothing_is_changed_before_it_is_given_up(self, damaged: tuple[RingFile, str]):
        file, _ = damaged
        with pytest.raises(KeysUnreadable) as refused:
            file.follow("data", since=EPOCH)
        assert "daohu keys forget k1" in str(refused.value)
        assert (file.forget("k1"), file.forget("k2")) == (True, False)
        assert file.follow("data", since=EPOCH).id == "k3"

    def test_the_name_of_a_key_that_was_given_up_is_not_given_again(self, file: RingFile):
        file.read()
        file.follow("data", since=EPOCH)
        said = json.loads(file.path.read_text())
        said["data"][1]["key"] = base64.b64encode(bytes(40)).decode()
        file.path.write_text(json.dumps(said))
        assert (file.read().lost, file.forget("k2")) == (("k2",), True)
        assert [key.id for key in file.read().data] == ["k1", "k3"]

    def test_a_line_that_is_no_longer_base64_costs_its_key_alone(self, file: RingFile):
        file.read()
        file.follow("data", since=EPOCH)
        said = json.loads(file.path.read_text())
        said["data"][0]["key"] = "�" + said["data"][0]["key"]
        file.path.write_text(json.dumps(said))
        assert (file.read().lost, [key.id for key in file.read().data]) == (("k1",), ["k2"])

    @pytest.mark.parametrize("name", ["vault.json", "master.key"])
    def test_a_file_that_is_no_text_any_more_is_said_to_be_unreadable(self, file: RingFile, name: str):
        running = vault(file, Clock())
        sealed = running.seal("a", column="c", row="1")
        (file.path.parent / name).write_bytes(b"\xff\xfe\x00" * 40)
        os.utime(file.path)
        with pytest.raises(KeysUnreadable) as refused:
            file.read()
        assert ("master key" in str(refused.value)) is (name == "master.key")
        running.refresh()
        assert running.open(sealed, column="c", row="1") == "a"

    def test_none_is_given_up_of_a_keyring_in_the_environment(self, damaged: tuple[RingFile, str]):
        file, _ = damaged
        given = RingFile(
            file.path, {"DAOHU_KEYS": file.path.read_text(), "DAOHU_MASTER_KEY": file.master_path.read_text()}
        )
        with pytest.raises(KeysUnreadable) as refused:
            given.forget("k1")
        assert "DAOHU_KEYS" in str(refused.value)

    def test_a_number_that_was_never_sealed_is_not_repeated(self, file: RingFile):
        with pytest.raises(KeyLost) as lost:
            vault(file, Clock()).open(f"{PHONE}:AAAA", column="c", row="1")
        assert PHONE not in f"{lost.value} {lost.value.facts}"
