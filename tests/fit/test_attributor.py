"""The closed time line's parameters: chosen by the cross-entropy of shares against the truth."""

from dataclasses import replace

import numpy as np
import pytest

from copylens.attributor.attributor import shares_of
from copylens.attributor.mixtures import Mixture
from copylens.fit.attributor import best_prior, closed, fit_attributor
from copylens.fit.held_out import HeldOut, Sample
from copylens.records import States
from tests.detector.detector_samples import (
    CHARACTERS,
    NAMES,
    attributor,
    held_out,
    joined,
    pure,
    sample,
)


def with_borders(held: HeldOut, texts: list[list[int]]) -> HeldOut:
    """The same with the borders of its mixed texts."""
    none = States(np.zeros((0, 0)), np.zeros((0, 2), int), 0)
    mixtures = []
    for text in texts:
        places = [(CHARACTERS * s, CHARACTERS * (s + 1), k) for s, k in enumerate(text)]
        mixtures.append(Mixture("", none, tuple(places)))
    return replace(held, mixtures=mixtures)


def cross_entropy(reader, held: Sample) -> float:
    """Of the shares that a reader publishes of texts that are all registered."""
    shares = shares_of(reader.timelines(held.scores), held.scores.spans)
    return float(-(closed(held).truth * np.log(shares + 1e-6)).sum(axis=1).mean())


@pytest.fixture(scope="module")
def held() -> HeldOut:
    return with_borders(held_out(n=60), joined(60))


@pytest.fixture(scope="module")
def fitted(held):
    return fit_attributor(NAMES, attributor().channels, held)


def test_the_best_prior_is_that_of_the_smallest_cross_entropy(held) -> None:
    """Against the shares themselves, one prior after the other."""
    reader, samples = attributor(), [closed(held.pure), closed(held.mixed)]
    explained = [reader.explanations(item.scores) for item in samples]
    loss, prior = best_prior(explained, samples, [0.8, 0.2])

    def loss_at(prior: float) -> float:
        at = replace(reader, mixture_prior=prior)
        return 0.8 * cross_entropy(at, held.pure) + 0.2 * cross_entropy(at, held.mixed)

    assert loss == pytest.approx(loss_at(prior))
    tried = (0.8, 0.65, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.003)
    assert prior in tried
    assert loss == pytest.approx(min(loss_at(p) for p in tried))


def test_texts_of_one_source_ask_for_a_smaller_prior_than_those_of_several(held) -> None:
    reader = attributor(segment_scale=0.1)

    def prior_of(item: Sample) -> float:
        return best_prior([reader.explanations(item.scores)], [closed(item)], [1.0])[1]

    assert prior_of(held.pure) < prior_of(held.mixed)


def test_fitted_parameters_do_no_worse_than_those_that_were_not_chosen(fitted, held) -> None:
    def loss(reader) -> float:
        return 0.8 * cross_entropy(reader, held.pure) + 0.2 * cross_entropy(reader, held.mixed)

    for scale in (0.0, 0.35, 1.0):
        for prior in (0.8, 0.1, 0.003):
            other = replace(fitted, segment_scale=scale, mixture_prior=prior)
            assert loss(fitted) <= loss(other) + 1e-9


def test_shares_of_new_texts_of_both_kinds_are_near_the_truth(fitted) -> None:
    assert fitted.segment_scale > 0, "0 would take every joined text for one of one source"
    for texts, seed in ((pure(30), 31), (joined(30), 32)):
        new = sample(texts, seed)
        shares = shares_of(fitted.timelines(new.scores), new.scores.spans)
        assert np.abs(shares - closed(new).truth).sum(axis=1).mean() < 0.2
