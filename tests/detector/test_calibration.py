"""Conformal p-values by counting, their false alarms by simulation, and the open-set share."""

import numpy as np
import pytest

from copylens.detector.calibration import (
    OpenSet,
    fit_conformal,
    fit_intervals,
    fit_open_set,
)


def test_p_values_by_counting():
    """Every group of one: p = (1 + number of scores at or above) / (n + 1)."""
    scores = np.array([0.1, 0.4, 0.2, 0.9])
    conformal = fit_conformal(scores, np.arange(4))
    for value in (0.0, 0.2, 0.3, 0.9, 1.0):
        expected = (1 + (scores >= value).sum()) / 5
        assert conformal.p_value(np.array([value]))[0] == pytest.approx(expected)


def test_a_large_group_has_one_vote():
    scores = np.array([0.0, 1.0, 1.0, 1.0, 1.0])
    conformal = fit_conformal(scores, np.array([0, 1, 1, 1, 1]))
    # Two groups; the second one lies at or above 0.5 as a whole.
    assert conformal.p_value(np.array([0.5]))[0] == pytest.approx((1 + 1) / 3)
    assert conformal.p_value(np.array([2.0]))[0] == pytest.approx(1 / 3)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_false_alarms_stay_below_alpha_for_new_groups(alpha):
    """Groups share an offset: a calibration that counted passages would flag too many."""
    generator = np.random.default_rng(0)
    alarms = []
    for _ in range(300):
        offset = np.repeat(generator.normal(size=40), 10)
        groups = np.repeat(np.arange(40), 10)
        conformal = fit_conformal(offset + 0.1 * generator.normal(size=400), groups)
        new = generator.normal() + 0.1 * generator.normal(size=10)
        alarms.append((conformal.p_value(new) < alpha).mean())
    assert np.mean(alarms) <= alpha + 0.03
    assert np.mean(alarms) >= alpha / 3


def test_unregistered_falls_with_the_p_value_and_fits_its_sample():
    generator = np.random.default_rng(1)
    fitted = fit_open_set(generator.beta(0.2, 1, size=4000))
    assert fitted.shape == pytest.approx(0.2, abs=0.02)
    shares = fitted.unregistered(np.array([0.001, 0.05, 0.5, 1.0]))
    assert (np.diff(shares) < 0).all()
    density = 0.2 * 0.05 ** (0.2 - 1)
    assert OpenSet(0.2).unregistered(np.array([0.05]))[0] == pytest.approx(density / (1 + density))
    assert fit_open_set(np.zeros(0)).shape == 0.3


def test_intervals_cover_new_texts():
    generator = np.random.default_rng(2)

    def sample(n):
        """Mixtures of two out of four, as a noisy reader sees them."""
        truth = np.zeros((n, 4))
        for row in truth:
            row[generator.choice(4, 2, replace=False)] = generator.dirichlet(np.ones(2))
        seen = truth * np.exp(generator.normal(size=truth.shape)) + 0.02
        return seen / seen.sum(axis=1, keepdims=True), truth

    intervals = fit_intervals(*sample(4000), np.ones(4000), coverage=0.9)
    shares, truth = sample(4000)
    low, high = intervals.bounds(shares)
    inside = (low <= truth) & (truth <= high)
    assert inside.mean() == pytest.approx(0.9, abs=0.03)
    held = truth > 0
    assert inside[held].mean() > 0.8, "not only the absent ones are covered"
    assert ((low <= shares) & (shares <= high)).all()
    assert low.min() >= 0 and high.max() <= 1


def test_intervals_weigh_texts_as_told():
    """The same share, once of texts that hold all of it and once of texts that hold none."""
    shares, truth = np.full((200, 1), 0.5), np.tile([[1.0], [0.0]], (100, 1))
    weight = np.tile([1.0, 1e-6], 100)
    low, high = fit_intervals(shares, truth, weight, coverage=0.9).bounds(np.array([0.5]))
    assert low[0] == 0.5 and high[0] == 1.0
