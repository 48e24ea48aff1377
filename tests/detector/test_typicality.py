"""Typicality tests: calibrated probabilities, signs, and how several become one."""

import numpy as np
import pytest
from scipy.stats import norm

from copylens.detector.typicality import TypicalityTest, combined

K = 3


def sample(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Own strangeness is normal around k with spread 1 + k; that of others is far off."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, K, n)
    strangeness = 50 + generator.normal(size=(n, K))
    strangeness[np.arange(n), labels] = labels + (1 + labels) * generator.normal(size=n)
    return strangeness, labels


def test_probabilities_are_those_of_the_own_passages():
    """Against the known normal law, in the bulk and beyond what 2,000 passages show."""
    strangeness, labels = sample(2000, 0)
    test = TypicalityTest.fit(strangeness, labels)
    for k in range(K):
        for z in (0.0, 1.0, 2.0, 2.5):
            at = np.full((1, K), k + (1 + k) * z)
            assert test.surprise(at)[0, k] == pytest.approx(-norm.logsf(z), abs=0.5)


def test_stranger_is_never_less_surprising_and_always_finite():
    test = TypicalityTest.fit(*sample(300, 1))
    grid = np.repeat(np.linspace(-1e6, 1e6, 4001)[:, None], K, axis=1)
    surprise = test.surprise(grid)
    assert (np.diff(surprise, axis=0) >= 0).all()
    assert np.isfinite(surprise).all() and (surprise >= 0).all()


def test_a_sub_dataset_of_few_passages_leans_on_the_others():
    strangeness, labels = sample(300, 2)
    few = np.append(np.flatnonzero(labels != 2), np.flatnonzero(labels == 2)[:1])
    test = TypicalityTest.fit(strangeness[few], labels[few])
    assert np.isfinite(test.surprise(strangeness)).all()
    assert test.spread[2] > 0.5


def test_a_constant_measure_says_nothing():
    test = TypicalityTest.fit(np.zeros((20, K)), np.arange(20) % K)
    assert np.isfinite(test.surprise(np.zeros((2, K)))).all()


def test_combined_against_the_harmonic_mean():
    p = {"a": np.array([[0.5]]), "b": np.array([[0.01]])}
    surprises = {name: -np.log(value) for name, value in p.items()}
    expected = 1 / (0.75 / 0.5 + 0.25 / 0.01)
    got = combined(surprises, {"a": 3.0, "b": 1.0})
    np.testing.assert_allclose(np.exp(-got), expected)
    np.testing.assert_allclose(combined(surprises, {"b": 2.0}), surprises["b"])


def test_a_test_of_small_weight_is_heard_only_when_it_is_very_sure():
    sure = {"a": np.full((1, 1), 2.0), "b": np.full((1, 1), 20.0)}
    unsure = {"a": np.full((1, 1), 2.0), "b": np.full((1, 1), 2.5)}
    weights = {"a": 1.0, "b": 0.03}
    assert combined(sure, weights) > 15
    assert combined(unsure, weights)[0, 0] == pytest.approx(2.0, abs=0.03)
