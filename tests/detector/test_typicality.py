"""Typicality tests: calibrated probabilities, signs, and how several become one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from copylens.detector.typicality import TypicalityTest, combined

VALUES = np.random.default_rng(0).normal(3.0, 2.0, size=300)


def test_in_the_bulk_it_is_the_share_of_texts_that_are_as_atypical() -> None:
    test = TypicalityTest.fit(VALUES)
    for value in np.quantile(VALUES, [0.05, 0.3, 0.5, 0.8, 0.89]):
        as_atypical = (value <= VALUES).mean()
        assert test.surprise(np.array([value]))[0] == pytest.approx(-np.log(as_atypical))


def test_beyond_the_threshold_the_tail_is_exponential() -> None:
    test = TypicalityTest.fit(VALUES)
    threshold = np.quantile(VALUES, 0.9)
    excess = (VALUES[threshold < VALUES] - threshold).mean()
    for beyond in (1e-9, 0.5, 3.0, 40.0):
        got = test.surprise(np.array([threshold + beyond * excess]))[0]
        assert got == pytest.approx(-np.log(0.1) + beyond)


def test_an_exponential_law_is_recovered_far_beyond_the_sample() -> None:
    test = TypicalityTest.fit(np.random.default_rng(1).exponential(2.0, size=50_000))
    for value in (0.5, 2.0, 6.0, 40.0):
        assert test.surprise(np.array([value]))[0] == pytest.approx(value / 2, rel=0.05)


def test_a_normal_law_is_recovered_where_there_is_data() -> None:
    """So many texts that a grid of them is kept."""
    test = TypicalityTest.fit(np.random.default_rng(2).normal(size=4000))
    for z in (-1.0, 0.0, 1.0, 2.0):
        assert test.surprise(np.array([z]))[0] == pytest.approx(-norm.logsf(z), abs=0.1)


@given(
    arrays(float, st.integers(1, 60), elements=st.floats(-1e6, 1e6)),
    arrays(float, 40, elements=st.floats(-1e9, 1e9)),
)
def test_a_stranger_value_is_never_less_surprising_and_always_finite(own, values) -> None:
    surprise = TypicalityTest.fit(own).surprise(np.sort(values))
    assert (np.diff(surprise) >= 0).all()
    assert np.isfinite(surprise).all() and (surprise >= 0).all()


def test_a_shift_and_a_scale_of_the_measure_change_nothing() -> None:
    asked = np.linspace(-5, 30, 200)
    got = TypicalityTest.fit(10 * VALUES + 7).surprise(10 * asked + 7)
    np.testing.assert_allclose(got, TypicalityTest.fit(VALUES).surprise(asked), atol=1e-9)


def test_a_constant_measure_says_nothing_of_its_own_value() -> None:
    test = TypicalityTest.fit(np.full(20, 4.0))
    assert test.surprise(np.array([4.0]))[0] == 0


def test_arrays_round_trip() -> None:
    test = TypicalityTest.fit(VALUES)
    again = TypicalityTest.from_arrays(test.arrays())
    asked = np.linspace(-5, 30, 100)
    np.testing.assert_array_equal(again.surprise(asked), test.surprise(asked))


def test_combined_is_the_weighted_harmonic_mean() -> None:
    p = {"a": np.array([0.5, 1.0]), "b": np.array([0.01, 1.0]), "c": np.array([0.2, 1.0])}
    weights = {"a": 3.0, "b": 1.0, "c": 0.5, "absent": 9.0}
    expected = 4.5 / (3.0 / p["a"] + 1.0 / p["b"] + 0.5 / p["c"])
    got = combined({name: -np.log(value) for name, value in p.items()}, weights)
    np.testing.assert_allclose(np.exp(-got), expected)


def test_one_test_alone_is_itself() -> None:
    alone = {"b": np.array([0.0, 0.3, 700.0])}
    np.testing.assert_allclose(combined(alone, {"b": 0.2}), alone["b"])


def test_a_test_of_small_weight_is_heard_only_when_it_is_very_sure() -> None:
    weights = {"a": 1.0, "b": 0.03}
    (sure,) = combined({"a": np.array([2.0]), "b": np.array([20.0])}, weights)
    (unsure,) = combined({"a": np.array([2.0]), "b": np.array([2.5])}, weights)
    assert sure > 15
    assert unsure == pytest.approx(2.0, abs=0.03)


def test_the_order_of_the_tests_does_not_matter_to_the_last_bit():
    rng = np.random.default_rng(4)
    surprises = {name: rng.exponential(size=500) for name in "cab"}
    weights = {"a": 1.0, "b": 0.2, "c": 0.1}
    turned = {name: surprises[name] for name in "bac"}
    np.testing.assert_array_equal(combined(surprises, weights), combined(turned, weights))
