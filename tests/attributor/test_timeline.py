"""Forward-backward against the sum over all paths."""

from itertools import pairwise, product

import numpy as np
import pytest

from copylens.attributor.timeline import explain, probability_changing, segment_posteriors


def segment_shares(evidence, prior, switch, mixed=0.5):
    """With segments whose scores add up to the whole text's."""
    return explain(evidence.sum(axis=0), evidence, prior, switch).shares(mixed)


def by_enumeration(evidence, prior, switch):
    S, K = evidence.shape
    total = np.zeros((S, K))
    for path in product(range(K), repeat=S):
        weight = prior[path[0]]
        for before, after in pairwise(path):
            weight *= (1 - switch) * (before == after) + switch * prior[after]
        weight *= np.exp(sum(evidence[s, k] for s, k in enumerate(path)))
        for s, k in enumerate(path):
            total[s, k] += weight
    return total / total.sum(axis=1, keepdims=True), np.log(total[0].sum())


@pytest.mark.parametrize("switch", [0.01, 0.3, 1.0])
def test_against_all_paths(switch):
    generator = np.random.default_rng(0)
    evidence = generator.normal(size=(5, 3)) * 2
    prior = generator.dirichlet(np.ones(3))
    got, log_evidence = segment_posteriors(evidence, prior, switch)
    expected, log_expected = by_enumeration(evidence, prior, switch)
    np.testing.assert_allclose(got, expected, atol=1e-9)
    assert log_evidence == pytest.approx(log_expected)


def test_no_evidence_leaves_the_prior():
    prior = np.array([0.7, 0.2, 0.1])
    got, _ = segment_posteriors(np.zeros((4, 3)), prior, 0.1)
    np.testing.assert_allclose(got, np.tile(prior, (4, 1)))


def test_a_constant_per_segment_changes_nothing():
    evidence = np.random.default_rng(1).normal(size=(6, 4))
    prior = np.full(4, 0.25)
    shifted = evidence + np.arange(6)[:, None] * 100
    np.testing.assert_allclose(
        segment_shares(evidence, prior, 0.2), segment_shares(shifted, prior, 0.2)
    )


def test_a_change_of_source_shows_where_it_is():
    evidence = np.zeros((10, 2))
    evidence[:6, 0], evidence[6:, 1] = 2.0, 2.0
    top = segment_shares(evidence, np.array([0.5, 0.5]), 0.1).argmax(axis=1)
    np.testing.assert_array_equal(top, [0] * 6 + [1] * 4)


def test_a_thousand_strong_segments_do_not_underflow():
    evidence = np.random.default_rng(2).normal(size=(1000, 5)) * 50
    got = segment_shares(evidence, np.full(5, 0.2), 0.05)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got.sum(axis=1), 1.0)


def test_a_text_without_a_break_gets_the_shares_of_the_whole():
    """Even evidence: one source explains it better than changes of source do."""
    whole = np.log(np.array([0.7, 0.2, 0.1]))
    got = segment_shares(np.tile(whole / 12, (12, 1)), np.full(3, 1 / 3), 0.2)
    np.testing.assert_allclose(got, np.tile(got[0], (12, 1)), atol=0.1)
    assert got[:, 0].mean() == pytest.approx(0.7, abs=0.2)
    strong = segment_shares(np.tile([3.0, 0.0, 0.0], (12, 1)), np.full(3, 1 / 3), 0.2)
    np.testing.assert_allclose(strong[:, 0], 1.0, atol=0.02)


def test_both_explanations_are_weighed_by_the_evidence():
    evidence = np.random.default_rng(4).normal(size=(4, 3))
    prior = np.array([0.5, 0.3, 0.2])
    pure = prior * np.exp(evidence.sum(axis=0))
    mixed, log_mixed = by_enumeration(evidence, prior, 0.3)
    weight = pure.sum() / (pure.sum() + np.exp(log_mixed))
    expected = weight * pure / pure.sum() + (1 - weight) * mixed
    np.testing.assert_allclose(segment_shares(evidence, prior, 0.3), expected, atol=1e-9)


def test_mixed_texts_that_are_rare_beforehand_need_more_evidence():
    """By Bayes: prior odds times what the evidence says for a change."""
    evidence = np.random.default_rng(4).normal(size=(4, 3))
    prior = np.full(3, 1 / 3)
    explained = explain(evidence.sum(axis=0), evidence, prior, 0.3)
    pure = prior * np.exp(evidence.sum(axis=0))
    mixed, log_mixed = by_enumeration(evidence, prior, 0.3)
    change = 0.1 * np.exp(log_mixed)
    weight = change / (change + 0.9 * pure.sum())
    expected = (1 - weight) * pure / pure.sum() + weight * mixed
    np.testing.assert_allclose(explained.shares(0.1), expected, atol=1e-9)
    np.testing.assert_allclose(explained.shares(1e-12), np.tile(explained.pure, (4, 1)), atol=1e-6)


def test_a_whole_that_says_more_than_its_segments_weighs_for_one_source():
    """By Bayes: "one source" is scored by the whole text alone."""
    evidence = np.random.default_rng(5).normal(size=(4, 3))
    whole, prior = np.array([3.0, -1.0, 0.5]), np.array([0.5, 0.3, 0.2])
    explained = explain(whole, evidence, prior, 0.3)
    pure = prior * np.exp(whole)
    mixed, log_mixed = by_enumeration(evidence, prior, 0.3)
    np.testing.assert_allclose(explained.pure, pure / pure.sum())
    np.testing.assert_allclose(explained.changing, mixed)
    assert explained.log_odds == pytest.approx(log_mixed - np.log(pure.sum()))


@pytest.mark.parametrize("mixed", [0.003, 0.5, 0.9])
def test_the_probability_of_several_sources_is_the_prior_where_the_scores_say_nothing(mixed):
    got = probability_changing(np.array([0.0, np.log(3.0), 800.0, -800.0]), mixed)
    odds = 3 * mixed / (1 - mixed)
    np.testing.assert_allclose(got, [mixed, odds / (1 + odds), 1, 0], atol=1e-12)
