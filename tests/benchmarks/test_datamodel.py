import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks.retraining.datamodel import (
    Retraining,
    datamodeling_scores,
    effects,
    resampled_scores,
    summary,
)
from benchmarks.retraining.plan import random_halves

K, M, Q = 6, 20, 15
RNG = np.random.default_rng(0)


def retraining(noise: float, truth: np.ndarray, lms: int = M) -> Retraining:
    members = random_halves(lms, K, seed=1)
    outcomes = members @ truth.T + noise * np.random.default_rng(2).normal(size=(lms, len(truth)))
    groups = tuple(f"g{q // 3}" for q in range(len(truth)))
    return Retraining(members, outcomes, np.arange(lms) // 2, groups, ("a",) * len(truth))


def test_the_true_effects_of_a_linear_world_score_one_and_their_opposite_minus_one():
    truth = RNG.normal(size=(Q, K))
    found = retraining(0.0, truth)
    assert datamodeling_scores(found, truth) == pytest.approx(np.ones(Q))
    assert datamodeling_scores(found, -truth) == pytest.approx(-np.ones(Q))
    # Only the order of the sums counts; every LM has read as many, so a constant adds the same.
    assert datamodeling_scores(found, 7 * truth + 3) == pytest.approx(np.ones(Q))


def test_agrees_with_scipy_ties_included():
    scores = RNG.integers(0, 3, size=(Q, K)).astype(float)
    found = retraining(1.0, RNG.normal(size=(Q, K)))
    expected = [
        spearmanr(found.outcomes[:, q], found.members @ scores[q]).statistic for q in range(Q)
    ]
    assert datamodeling_scores(found, scores) == pytest.approx(expected)


def test_a_method_that_tells_no_lm_from_another_scores_zero():
    found = retraining(1.0, RNG.normal(size=(Q, K)))
    assert datamodeling_scores(found, np.full((Q, K), 0.1)) == pytest.approx(np.zeros(Q))


def test_the_interval_is_that_of_known_noise():
    """Scores that know nothing: the mean over LMs and queries is 0, and 95 % intervals hold it."""
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        members = random_halves(M, K, seed)
        outcomes = rng.normal(size=(M, Q))
        groups = tuple(map(str, range(Q)))
        found = Retraining(members, outcomes, np.arange(M) // 2, groups, ("a",) * Q)
        scores = rng.normal(size=(Q, K))
        draws, _ = resampled_scores(found, {"noise": scores}, resamples=200, seed=seed)
        score = summary(datamodeling_scores(found, scores), draws["noise"])
        held += score.low <= 0 <= score.high
    assert held >= 34


def test_draws_are_paired_between_methods():
    truth = RNG.normal(size=(Q, K))
    found = retraining(0.5, truth)
    draws, _ = resampled_scores(found, {"a": truth, "b": truth * 2}, resamples=50)
    assert draws["a"] == pytest.approx(draws["b"])


def test_effects_are_the_differences_of_means():
    truth = RNG.normal(size=(Q, K))
    found = retraining(0.0, truth, lms=400)
    measured = effects(found, ["a"])[0]
    # With half of the sub-datasets in every LM, one in means another out: effects are relative.
    relative = truth.mean(axis=0) - (truth.mean(axis=0).sum() - truth.mean(axis=0)) / (K - 1)
    assert measured == pytest.approx(relative, abs=0.25)


@pytest.mark.parametrize("seed", range(3))
def test_every_sub_dataset_is_in_half_of_the_lms_and_every_lm_has_half(seed):
    members = random_halves(24, 18, seed)
    assert (members.sum(axis=0) == 12).all()
    assert (members.sum(axis=1) == 9).all()
    assert len({row.tobytes() for row in members}) == 24
    assert (random_halves(8, 18, seed) == members[:8]).all()


def test_odd_numbers_have_no_halves():
    with pytest.raises(ValueError, match="even"):
        random_halves(5, 18, 0)
    with pytest.raises(ValueError, match="even"):
        random_halves(4, 17, 0)
