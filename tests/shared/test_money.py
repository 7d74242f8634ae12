"""shared.money: no fen is lost or made, whoever shares what out."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.money import MAX_FEN, fen, share_out, split_by_source, yuan

amounts = st.integers(0, MAX_FEN)
weights = st.lists(st.integers(0, 10**6), min_size=1, max_size=50).filter(any)


class TestShareOut:
    @given(amounts, weights)
    def test_the_shares_add_up_to_the_sum(self, total, weights):
        assert sum(share_out(total, weights)) == total

    @given(amounts, weights)
    def test_each_share_is_less_than_a_fen_from_its_exact_share(self, total, weights):
        whole = sum(weights)
        for share, weight in zip(share_out(total, weights), weights, strict=True):
            assert abs(share - Fraction(total * weight, whole)) < 1

    @given(amounts, weights)
    def test_the_fen_left_over_go_to_the_largest_remainders(self, total, weights):
        whole = sum(weights)
        remainders = [total * weight % whole for weight in weights]
        extra = [
            share - total * weight // whole for share, weight in zip(share_out(total, weights), weights, strict=True)
        ]
        assert set(extra) <= {0, 1}
        got = [r for r, e in zip(remainders, extra, strict=True) if e]
        missed = [r for r, e in zip(remainders, extra, strict=True) if not e]
        assert not got or not missed or min(got) >= max(missed)

    @given(amounts, weights)
    def test_no_weight_means_no_money(self, total, weights):
        assert all(share == 0 for share, weight in zip(share_out(total, weights), weights, strict=True) if weight == 0)

    def test_equal_remainders_go_to_the_earlier(self):
        assert share_out(100, [1, 1, 1]) == [34, 33, 33]

    @pytest.mark.parametrize(("total", "weights"), [(-1, [1]), (1, []), (1, [0, 0]), (1, [2, -1])])
    def test_what_cannot_be_shared_is_refused(self, total, weights):
        with pytest.raises(ValueError, match="shared by weights"):
            share_out(total, weights)


@st.composite
def payments(draw):
    """Amounts, and sources that add up to the same sum."""
    owed = draw(st.lists(st.integers(0, 10**9), min_size=1, max_size=30))
    total = sum(owed)
    cuts = sorted(draw(st.lists(st.integers(0, total), max_size=5)))
    return owed, [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)]


class TestSplitBySource:
    @given(payments())
    def test_rows_add_up_to_the_amounts_and_columns_to_the_sources(self, case):
        owed, sources = case
        rows = split_by_source(owed, sources)
        assert [sum(row) for row in rows] == owed
        assert [sum(column) for column in zip(*rows, strict=True)] == sources

    @given(payments())
    def test_no_source_pays_a_negative_amount(self, case):
        assert min(cell for row in split_by_source(*case) for cell in row) >= 0

    @pytest.mark.parametrize(("owed", "sources"), [([1], [2]), ([1, 1], [1]), ([-1, 2], [1]), ([1], [2, -1])])
    def test_unequal_sums_and_negative_amounts_are_refused(self, owed, sources):
        with pytest.raises(ValueError, match="same sum"):
            split_by_source(owed, sources)


class TestText:
    @given(st.integers(-MAX_FEN, MAX_FEN))
    def test_yuan_and_fen_are_each_others_reverse(self, amount):
        assert fen(yuan(amount)) == amount

    @pytest.mark.parametrize(("text", "amount"), [("1234.5", 123450), ("0", 0), (" 7 ", 700), ("-0.05", -5)])
    def test_people_may_leave_decimals_away(self, text, amount):
        assert fen(text) == amount

    @pytest.mark.parametrize("text", ["", "1.234", "1,000", "1e3", ".5", "1.", "١", "１", "10000000000000.01", "NaN"])
    def test_what_is_no_amount_is_refused(self, text):
        with pytest.raises(ValueError, match="not an amount"):
            fen(text)
