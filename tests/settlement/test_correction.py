"""Label-shift inversion against exact solutions and worlds whose mixture is known."""

import numpy as np
import pytest
from scipy.stats import beta

from benchmarks.support.worlds import certain, world
from copylens.fit.confusion import HeldOutShares
from copylens.settlement.correction import estimate, invert


def test_inversion_is_exact_where_the_matrix_is() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        matrix = rng.dirichlet(np.ones(6), size=6)
        mixture = rng.dirichlet(np.full(6, 0.4))
        assert invert(matrix, mixture @ matrix) == pytest.approx(mixture, abs=1e-4)


def test_inversion_is_the_least_squares_point_of_the_simplex() -> None:
    """No point of a fine grid over the simplex fits better."""
    rng = np.random.default_rng(2)
    matrix, observed = rng.dirichlet(np.ones(3), size=3), np.array([0.98, 0.01, 0.01])
    found = invert(matrix, observed)
    steps = np.linspace(0, 1, 101)
    grid = np.array([(a, b, 1 - a - b) for a in steps for b in steps if a + b <= 1])
    best = ((grid @ matrix - observed) ** 2).sum(axis=1).min()
    assert ((found @ matrix - observed) ** 2).sum() <= best + 1e-6
    assert found.min() >= 0 and found.sum() == pytest.approx(1)


def test_an_origin_without_a_text_in_the_log_may_still_have_a_share() -> None:
    """Where every verdict is certain the draws are the Dirichlet posterior under Perks' prior."""
    counts = np.array([40, 10, 0])
    log = np.eye(3)[np.repeat(np.arange(3), counts)]
    found = estimate(log, np.ones(50, np.int64), certain(3), seed=1, resamples=20_000)
    ahead, against = counts + 1 / 3, 50 - counts + 2 / 3
    ends = np.stack(found.interval())
    expected = beta.ppf([[0.05], [0.95]], ahead, against)
    assert found.share == pytest.approx(counts / 50) and ends[0, 2] == 0
    assert ends[:, :2] == pytest.approx(expected[:, :2], abs=4e-3)
    assert ends[1, 2] == pytest.approx(expected[1, 2], rel=0.1) and ends[1, 2] > 0.02


def test_uncertainty_of_the_matrix_widens_the_intervals() -> None:
    rng = np.random.default_rng(4)
    made = world(rng)
    log = made.log(rng, np.full(9, 1 / 9), 2000)
    ones = np.ones(len(log), np.int64)
    few, many = (estimate(log, ones, made.held_out(rng, n), seed=1) for n in (30, 3000))
    widths = [np.diff(found.interval(), axis=0).mean() for found in (few, many)]
    assert widths[0] > 1.5 * widths[1]


@pytest.mark.slow
def test_corrected_shares_halve_the_error_and_intervals_cover() -> None:
    """The promise of docs/statement.md in small; benchmarks/statement.py is its full measure."""
    rng = np.random.default_rng(5)
    errors, covered = [], []
    for _ in range(60):
        made = world(rng)
        mixture = rng.dirichlet(np.full(9, rng.choice([0.3, 1.0, 3.0])))
        log = made.log(rng, mixture, 600)
        ones = np.ones(len(log), np.int64)
        found = estimate(log, ones, made.held_out(rng), seed=3, resamples=300)
        errors.append([np.abs(v - mixture).mean() for v in (found.share, found.observed)])
        low, high = found.interval()
        covered.append((low <= mixture + 1e-9) & (mixture <= high + 1e-9))
    ours, raw = np.mean(errors, axis=0)
    assert ours < 0.5 * raw
    assert 0.86 < np.mean(covered) < 0.95


def test_resampled_matrices_have_the_mean_and_the_spread_of_group_means() -> None:
    rng = np.random.default_rng(6)
    groups = np.repeat(np.arange(12), 5)
    group_means = rng.dirichlet(np.ones(3), size=12)
    labels = np.zeros(60, np.int64)
    held = HeldOutShares(group_means[groups], labels, groups)
    drawn = held.resampled(rng, 20_000)[:, 0]
    assert drawn.mean(axis=0) == pytest.approx(held.matrix()[0], abs=5e-3)
    expected = group_means.var(axis=0, ddof=1) / 12
    assert drawn.var(axis=0) == pytest.approx(expected, rel=0.1)


def test_an_unseen_origin_is_assumed_and_said_to_vary() -> None:
    labels = np.repeat([0, 1], 10)
    shares = np.array([[0.6, 0.1, 0.3], [0.1, 0.6, 0.3]])[labels]
    held = HeldOutShares(shares, labels, np.arange(20))
    assert held.counts.tolist() == [10, 10, 0]
    assert held.matrix()[2] == pytest.approx([0.175, 0.175, 0.65])
    assert held.resampled(np.random.default_rng(0), 500)[:, 2, 2].std() > 0.05
