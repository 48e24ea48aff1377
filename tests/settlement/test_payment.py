"""Money: every cent goes somewhere, rounding is fair, uncertainty pays the fee."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copylens.errors import SettlementError
from copylens.settlement.payment import (
    amount,
    contract_fee,
    equal_fee,
    smallest_units,
    split_exactly,
    trust,
)


@given(
    total=st.integers(1, 10**15),
    weights=st.lists(st.floats(0, 1), min_size=1, max_size=40).filter(lambda w: max(w) > 1e-6),
)
def test_a_split_sums_exactly_and_stays_within_one_unit(total: int, weights: list[float]) -> None:
    units = split_exactly(total, weights)
    assert sum(units) == total
    exact = [Fraction(round(w * 10**9)) for w in weights]
    for got, weight in zip(units, exact):
        assert abs(got - total * weight / sum(exact)) < 1
    assert all(unit == 0 for unit, weight in zip(units, exact) if weight == 0)


def test_the_largest_remainders_get_the_last_cents() -> None:
    # 10 * (0.475, 0.275, 0.25) = 4.75, 2.75, 2.5: two cents are left for .75 and .75.
    assert split_exactly(10, [0.475, 0.275, 0.25]) == [5, 3, 2]
    assert split_exactly(100, [1 / 3, 1 / 3, 1 / 3]) == [34, 33, 33]


@pytest.mark.parametrize(
    ("pool", "currency", "units"),
    [("100000", "EUR", 10_000_000), ("0.01", "EUR", 1), ("5", "JPY", 5), ("1.005", "KWD", 1005)],
)
def test_amounts_there_and_back(pool: str, currency: str, units: int) -> None:
    assert smallest_units(pool, currency) == units
    assert smallest_units(amount(units, currency), currency) == units


@pytest.mark.parametrize(
    ("pool", "currency"),
    [
        *(("1.001", "EUR"), ("0", "EUR"), ("-5", "EUR"), ("ten", "EUR"), ("nan", "EUR")),
        *(("inf", "EUR"), ("1.5", "JPY"), ("10", "eur"), ("10", "EURO")),
    ],
)
def test_what_is_no_amount_is_refused(pool: str, currency: str) -> None:
    with pytest.raises(SettlementError):
        smallest_units(pool, currency)


def test_trust_is_the_james_stein_factor() -> None:
    """Against the expected squared error itself: no other fixed weight pays closer to the truth."""
    rng = np.random.default_rng(0)
    fee, noise = np.full(8, 1 / 8), 0.03
    truth = rng.dirichlet(np.full(8, 4.0), size=4000)
    seen = truth + noise * rng.normal(size=truth.shape)
    draws = rng.normal(size=(500, 8)) * noise
    weights = np.array([trust(s + draws, s, fee) for s in seen])[:, None]
    shrunk = weights * seen + (1 - weights) * fee
    error = ((shrunk - truth) ** 2).mean()
    best = min(((w * seen + (1 - w) * fee - truth) ** 2).mean() for w in np.linspace(0, 1, 101))
    assert error < 1.1 * best
    assert error < 0.95 * ((seen - truth) ** 2).mean()


def test_trust_falls_with_noise_from_one_to_nothing() -> None:
    rng = np.random.default_rng(1)
    share, fee = np.array([0.7, 0.2, 0.1]), np.full(3, 1 / 3)
    values = [
        trust(share + s * rng.normal(size=(999, 3)), share, fee) for s in (0, 0.05, 0.1, 0.2, 1)
    ]
    assert values[0] == 1 and values[-1] == 0
    assert values == sorted(values, reverse=True)
    assert trust(share[None], fee, fee) == 0


def test_fees() -> None:
    holders = ["A", "A", "B"]
    assert equal_fee(holders) == pytest.approx([0.25, 0.25, 0.5])
    assert contract_fee({"A": 3, "B": 1}, ["x", "y", "z"], holders) == pytest.approx(
        [0.375, 0.375, 0.25]
    )
    assert contract_fee({"x": 1, "A": 2, "B": 1}, ["x", "y", "z"], holders) == pytest.approx(
        [0.25, 0.5, 0.25]
    )
    for wrong in ({"A": 3}, {"A": -1, "B": 1}, {"A": 0, "B": 0}, {"A": "much", "B": 1}):
        with pytest.raises(SettlementError):
            contract_fee(wrong, ["x", "y", "z"], holders)
