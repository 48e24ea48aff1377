"""The detector: signs, the projector's space, the one-sided loss term, the choice of scores."""

import numpy as np
import pytest
from scipy.stats import norm

from copylens.config import DetectorConfig
from copylens.model.detector import Reading, combinations, fit_detector, tail
from copylens.model.fusion import log_softmax
from copylens.model.network import AttributorNetwork, NetworkShape
from copylens.model.projector import fit_projector
from copylens.records import States

K = 3


def reading(n: int, strength: float, loss: float, seed: int) -> tuple[Reading, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, K, n)
    support = 0.1 * generator.normal(size=(n, K))
    support[np.arange(n), labels] += strength
    return (
        Reading(
            features=np.zeros((n, 0)),
            log_probs=log_softmax(support * 10),
            support=support,
            surprise=loss + 0.1 * generator.normal(size=n),
        ),
        labels,
    )


def test_weaker_support_and_larger_loss_score_higher():
    held, labels = reading(300, 0.6, 3.0, 0)
    detector = fit_detector(None, (held.features, labels), held, None, DetectorConfig())
    assert detector.chosen == ("wording", "confidence")
    weak, _ = reading(300, 0.2, 3.0, 1)
    assert detector.score(weak).mean() > detector.score(held).mean() + 1


def test_the_score_that_tells_on_val_is_chosen():
    """Only the LM's loss differs, so only a combination with it can tell them apart."""
    held, labels = reading(300, 0.6, 3.0, 0)
    odd, _ = reading(300, 0.6, 4.0, 2)
    detector = fit_detector(None, (held.features, labels), held, odd, DetectorConfig())
    assert "surprise" in detector.chosen
    assert (detector.score(odd)[:, None] > detector.score(held)[None, :]).mean() > 0.99


def test_an_ordinary_loss_changes_nothing():
    """One-sided with a floor: a text the LM knows well must not count as registered for it."""
    held, labels = reading(300, 0.6, 3.0, 0)
    odd, _ = reading(300, 0.6, 4.0, 2)
    detector = fit_detector(None, (held.features, labels), held, odd, DetectorConfig())
    usual = Reading(held.features, held.log_probs, held.support, np.full(300, 3.0))
    familiar = Reading(held.features, held.log_probs, held.support, np.full(300, 1.0))
    np.testing.assert_array_equal(detector.score(usual), detector.score(familiar))


def test_an_unmeasured_loss_is_left_out():
    held, labels = reading(50, 0.6, np.nan, 0)
    odd, _ = reading(50, 0.1, np.nan, 1)
    detector = fit_detector(None, (held.features, labels), held, odd, DetectorConfig())
    assert "surprise" not in detector.centre
    assert np.isfinite(detector.score(odd)).all()


def test_tail_is_the_normal_tail_and_stays_finite():
    z = np.array([-1.0, 0.0, 1.0, 3.0])
    np.testing.assert_allclose(tail(z), -np.log(1 - norm.cdf(z)), rtol=1e-9)
    assert np.isfinite(tail(np.array([1e9, -1e9]))).all()
    assert (np.diff(tail(np.linspace(-5, 30, 200))) > 0).all()


def test_combinations_start_with_the_default_and_never_are_empty():
    tried = combinations(("confidence", "wording", "knn", "mahalanobis", "surprise"))
    assert tried[0] == ("wording", "confidence")
    assert len(tried) == len(set(tried))
    assert combinations(("confidence",)) == [("confidence",)]


@pytest.fixture(scope="module")
def space():
    """A projector trained on states of three kinds, and states of a fourth."""
    import torch

    torch.manual_seed(0)
    network = AttributorNetwork(NetworkShape(8, K, 8, 8, 0.0)).eval()
    generator = np.random.default_rng(0)

    def states(kind: int, n: int) -> list[States]:
        made = []
        for _ in range(n):
            values = generator.normal(size=(12, 8)).astype(np.float16)
            values[:, kind] += 2
            spans = np.zeros((12, 2), np.int32)
            none = np.zeros((12, 0), np.float16)
            made.append(States(values, none, spans, none.astype(np.int16), 12))
        return made

    known = [item for kind in range(K) for item in states(kind, 30)]
    labels = np.repeat(np.arange(K), 30)
    config = DetectorConfig(epochs=20, embedding=8, batch_size=32)
    projector = fit_projector([("attention", network)], known, labels, config, seed=0)
    return network, projector, known, labels, states(5, 30)


def features(network, items):
    from copylens.model.training import predict

    return predict(network, tuple(item.values for item in items)).features


def test_the_projector_gathers_kinds_on_the_unit_sphere(space):
    network, projector, known, labels, _ = space
    points = projector.embed(features(network, known))
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0, atol=1e-5)
    similar = points @ points.T
    same = labels[:, None] == labels[None, :]
    assert similar[same].mean() > similar[~same].mean() + 0.5


def test_a_kind_never_seen_lies_outside(space):
    network, projector, known, labels, strange = space

    def plain(items) -> Reading:
        n = len(items)
        even = np.full((n, K), -np.log(K))
        return Reading(features(network, items), even, np.zeros((n, 0)), np.full(n, np.nan))

    half = np.arange(len(known)) % 2 == 0
    fitted = [item for item, keep in zip(known, half) if keep]
    held = [item for item, keep in zip(known, half) if not keep]
    train = (features(network, fitted), labels[half])
    config = DetectorConfig(neighbours=(1, 5))
    detector = fit_detector(projector, train, plain(held), plain(strange), config)
    assert set(detector.chosen) & {"knn", "mahalanobis"}
    inside, outside = detector.score(plain(held)), detector.score(plain(strange))
    assert (outside[:, None] > inside[None, :]).mean() > 0.8
