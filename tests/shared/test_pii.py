"""shared.pii and shared.keyfiles: sealing, blind index, masking, ID numbers, key files."""

import json
import multiprocessing
import string
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import keyfiles
from shared.ids import new_id
from shared.keyring import EPOCH, Key, Ring
from shared.pii import (
    TEST_ID_AREA,
    SealBroken,
    Vault,
    birth_date,
    id_number_problems,
    is_test_phone,
    make_check_digit,
    mask_card,
    mask_id,
    mask_name,
    mask_phone,
    sex,
)


def ring(*secrets: bytes, blind: bytes = b"b" * 32) -> Ring:
    """Data keys k1, k2 … of these secrets; the last is the current one."""
    data = tuple(Key(f"k{number}", secret, EPOCH) for number, secret in enumerate(secrets, start=1))
    return Ring(data, (Key("0123456789ab", blind, EPOCH),))


VAULT = Vault(ring(b"1" * 32))
NUMBER = TEST_ID_AREA + "19700101001"
NUMBER += make_check_digit(NUMBER)


class TestVault:
    @given(st.text(max_size=200))
    def test_what_is_sealed_opens_again(self, plain):
        row = new_id()
        assert (
            VAULT.open(VAULT.seal(plain, column="member.id_number", row=row), column="member.id_number", row=row)
            == plain
        )

    def test_two_seals_of_one_value_differ(self):
        assert VAULT.seal("a", column="c", row="1") != VAULT.seal("a", column="c", row="1")

    def test_a_value_moved_to_another_row_does_not_open(self):
        with pytest.raises(SealBroken):
            VAULT.open(VAULT.seal(NUMBER, column="c", row="1"), column="c", row="2")

    def test_a_value_moved_to_another_column_does_not_open(self):
        with pytest.raises(SealBroken):
            VAULT.open(VAULT.seal(NUMBER, column="c", row="1"), column="d", row="1")

    def test_of_all_places_a_value_opens_at_its_own_alone(self):
        sealed = VAULT.seal(NUMBER, column="c", row="1")
        places = [(column, row) for column in ("c", "d", "") for row in ("1", "2", "")]
        assert [place for place in places if _opens(sealed, *place)] == [("c", "1")]

    def test_a_changed_value_does_not_open_whichever_character_changes(self):
        sealed = VAULT.seal(NUMBER, column="c", row="1")
        for i, character in enumerate(sealed):
            for other in {"A", "B", "-", "="} - {character}:
                with pytest.raises(SealBroken):
                    VAULT.open(sealed[:i] + other + sealed[i + 1 :], column="c", row="1")

    def test_a_value_has_one_spelling(self):
        """The last character of base64 may hold bits that decoding drops."""
        sealed = VAULT.seal("a", column="c", row="1")
        spellings = [sealed[:-2] + last + "=" for last in string.ascii_letters + string.digits + "-_"]
        assert [one for one in spellings if _opens(one)] == [sealed]

    @pytest.mark.parametrize("text", ["", "k1", "k1:", ":", "k1:é", "k9:AAAA", "plain text"])
    def test_what_was_never_sealed_does_not_open(self, text):
        with pytest.raises(SealBroken):
            VAULT.open(text, column="c", row="1")

    def test_the_error_holds_nothing_of_the_value(self):
        with pytest.raises(SealBroken) as broken:
            VAULT.open(NUMBER, column="c", row="1")
        assert NUMBER not in str(broken.value)
        assert broken.value.__suppress_context__

    def test_after_a_new_key_old_values_open_and_new_ones_use_the_new_key(self):
        old = VAULT.seal("x", column="c", row="1")
        rotated = Vault(ring(b"1" * 32, b"2" * 32))
        assert rotated.open(old, column="c", row="1") == "x"
        assert rotated.seal("x", column="c", row="1").startswith("k2:")

    def test_a_keyring_without_a_key_is_refused(self):
        with pytest.raises(ValueError, match="one of data"):
            ring()

    def test_a_short_key_is_refused(self):
        with pytest.raises(ValueError, match="32-byte"):
            ring(b"short")


class TestBlindIndex:
    def test_width_spaces_and_case_do_not_matter(self):
        lower = "11010519491231002x"
        assert VAULT.blind("１１０１０５１９４９１２３１００２Ｘ", kind="id") == VAULT.blind(
            f" {lower[:6]} {lower[6:]} ", kind="id"
        )

    def test_kinds_do_not_meet(self):
        assert VAULT.blind("19900000001", kind="phone") != VAULT.blind("19900000001", kind="card")

    def test_another_deployment_has_other_indices(self):
        other = Vault(ring(b"1" * 32, blind=b"c" * 32))
        assert other.blind(NUMBER, kind="id") != VAULT.blind(NUMBER, kind="id")

    @given(st.integers(0, 99_999), st.integers(0, 99_999))
    def test_equal_exactly_for_equal_numbers(self, a, b):
        one, two = (VAULT.blind(f"199000{n:05d}", kind="phone") for n in (a, b))
        assert (one == two) == (a == b)


class TestKeyFile:
    def test_it_is_made_on_first_use_for_its_owner_only(self, tmp_path):
        path = tmp_path / "keys" / "vault.json"
        sealed = Vault.at(path, {}).seal("x", column="c", row="1")
        assert path.stat().st_mode & 0o777 == 0o600
        assert Vault.at(path, {}).open(sealed, column="c", row="1") == "x"
        assert sorted(p.name for p in path.parent.iterdir()) == ["master.key", "vault.json"]

    def test_a_file_that_others_may_read_is_refused(self, tmp_path):
        path = tmp_path / "vault.json"
        Vault.at(path, {})
        path.chmod(0o640)
        with pytest.raises(keyfiles.KeyFileExposed, match="chmod 600"):
            Vault.at(path, {})

    def test_the_environment_wins_over_the_file(self, tmp_path):
        there = tmp_path / "elsewhere.json"
        Vault.at(there, {})
        given = Vault.at(tmp_path / "unused.json", {"DAOHU_KEYS": there.read_text()})
        assert given.blind("x", kind="k") == Vault.at(there, {}).blind("x", kind="k")
        assert not (tmp_path / "unused.json").exists()

    @pytest.mark.parametrize(
        "text", ["{", "[]", "{}", json.dumps({"current": "k", "keys": {"k": "?"}, "blind": "AAAA"})]
    )
    def test_an_unreadable_keyring_is_refused_without_showing_it(self, tmp_path, text):
        with pytest.raises(keyfiles.KeyFileBroken, match="keyring") as refused:
            Vault.at(tmp_path / "vault.json", {"DAOHU_KEYS": text})
        assert text not in str(refused.value).split()

    def test_processes_that_start_at_once_get_the_same_secret(self, tmp_path):
        with multiprocessing.get_context("spawn").Pool(4) as pool:
            found = pool.map(_first_secret, [tmp_path / "keys" / "one"] * 8)
        assert len(set(found)) == 1


def _first_secret(path: Path) -> bytes:
    return keyfiles.secret(path, lambda: str(new_id()).encode())


class TestMasks:
    def test_an_id_number_shows_its_ends_only(self):
        assert mask_id(NUMBER) == "9" + "*" * 16 + NUMBER[-1]

    def test_a_phone_shows_three_and_four(self):
        assert mask_phone("１９９００１２３４５６") == "199****3456"

    def test_a_card_shows_its_last_four(self):
        assert mask_card("9999991234567890123") == "***************0123"

    @pytest.mark.parametrize(
        ("name", "masked"), [("张三丰", "张**"), ("张三", "张*"), ("张", "*"), ("", ""), (" 欧阳 ", "欧*")]
    )
    def test_a_name_shows_its_first_character(self, name, masked):
        assert mask_name(name) == masked

    @pytest.mark.parametrize("mask", [mask_id, mask_phone, mask_card, mask_name])
    @given(text=st.text(alphabet="0123456789X", max_size=24))
    def test_a_short_number_is_hidden_whole(self, mask, text):
        masked = mask(text)
        assert len(masked) == len(text)
        assert "*" in masked or not text


class TestIdNumber:
    @pytest.mark.parametrize(
        "number",
        ["11010519491231002X", "440524188001010014", "11010519491231002x", "１１０１０５１９４９１２３１００２Ｘ"],
    )
    def test_the_standards_examples_pass(self, number):
        assert id_number_problems(number) is None

    @pytest.mark.parametrize(
        ("number", "code"),
        [
            ("", "id_length"),
            ("1" * 17, "id_length"),
            ("1" * 19, "id_length"),
            ("110105491231002", "id_15_digits"),
            ("11010549123100X", "id_length"),
            ("1101051949123100２a", "id_characters"),
            ("X10105194912310025", "id_characters"),
            ("110105194902310022", "id_date"),
            ("110105194912310020", "id_check_digit"),
        ],
    )
    def test_what_is_wrong_has_a_code(self, number, code):
        assert id_number_problems(number) == code

    @pytest.mark.parametrize(
        ("tail", "code"),
        [("41", None), ("71", None), ("41B1", None), ("01", "id_certificate"), ("84", "id_certificate")],
    )
    def test_disability_certificates_carry_a_kind_from_1_to_7(self, tail, code):
        assert id_number_problems("11010519491231002X" + tail) == code

    def test_the_place_is_never_judged(self):
        assert id_number_problems(NUMBER) is None

    def test_birth_date_and_sex_are_read(self):
        assert birth_date(NUMBER) == date(1970, 1, 1)
        assert sex(NUMBER) == "1"
        assert sex("11010519491231002X") == "2"

    @given(st.dates(date(1900, 1, 1), date(2020, 12, 31)), st.integers(1, 999), st.integers(0, 16), st.integers(1, 9))
    def test_any_single_wrong_digit_is_found(self, born, sequence, position, shift):
        right = f"{TEST_ID_AREA}{born:%Y%m%d}{sequence:03d}"
        right += make_check_digit(right)
        wrong = right[:position] + str((int(right[position]) + shift) % 10) + right[position + 1 :]
        assert id_number_problems(right) is None
        assert id_number_problems(wrong) in ("id_date", "id_check_digit")


class TestTestPhones:
    @pytest.mark.parametrize(
        "number",
        [
            "19900123456",
            "199 0012 3456",
            "+8619900123456",
            "008619900123456",
            "8619900123456",
            "１９９００１２３４５６",
        ],
    )
    def test_the_block_is_recognised_in_every_spelling(self, number):
        assert is_test_phone(number)

    @pytest.mark.parametrize("number", ["13800138000", "19901123456", "+8613900123456", "8619801123456"])
    def test_other_phones_are_not_in_it(self, number):
        assert not is_test_phone(number)


def _opens(sealed: str, column: str = "c", row: str = "1") -> bool:
    try:
        VAULT.open(sealed, column=column, row=row)
    except SealBroken:
        return False
    return True
