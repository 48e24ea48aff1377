"""The detector: signs, the choice of what counts, cross-fitting, the projector's space."""

import numpy as np
import pytest

from copylens.attributor.attention.network import AttributorNetwork, NetworkShape
from copylens.config.schema import DetectorConfig
from copylens.detector.detector import (
    LOSS,
    SPACE,
    SUPPORT,
    Detector,
    Space,
    candidates,
    cross_fitted_scores,
    fit_detector,
)
from copylens.detector.projector import fit_projector
from copylens.detector.typicality import TypicalityTest
from copylens.records import States

K = 3


def measured(n: int, strength: float, loss: float, seed: int) -> tuple[dict, np.ndarray]:
    """Measures of texts whose own sub-dataset supports them by `strength`."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, K, n)
    support = 0.1 * generator.normal(size=(n, K))
    support[np.arange(n), labels] += strength
    losses = np.repeat(loss + 0.1 * generator.normal(size=(n, 1)), K, axis=1)
    return {SUPPORT: -support, LOSS: losses}, labels


def test_weaker_support_scores_higher():
    held, labels = measured(300, 0.6, 3.0, 0)
    detector = fit_detector(None, held, labels, None)
    weak, _ = measured(300, 0.2, 3.0, 1)
    assert detector.score(weak).mean() > detector.score(held).mean() + 1
    assert (detector.score(held) >= 0).all()


def test_one_sub_dataset_that_finds_it_usual_is_enough():
    held, labels = measured(300, 0.6, 3.0, 0)
    detector = fit_detector(None, held, labels, None)
    text = {SUPPORT: np.array([[5.0, -0.6, 5.0]]), LOSS: np.full((1, K), 3.0)}
    alone = {name: np.repeat(values[:, 1:2], K, axis=1) for name, values in text.items()}
    assert detector.score(text) == pytest.approx(detector.score(alone).min(), abs=0.5)


def test_what_tells_on_val_is_chosen():
    """Only the loss differs, so it has to weigh; only the support differs, so it must not."""
    held, labels = measured(300, 0.6, 3.0, 0)
    louder, _ = measured(300, 0.6, 4.0, 2)
    chosen = fit_detector(None, held, labels, louder)
    assert LOSS in chosen.weights
    assert (chosen.score(louder)[:, None] > chosen.score(held)[None, :]).mean() > 0.95
    weaker, _ = measured(300, 0.2, 2.0, 3)
    assert LOSS not in fit_detector(None, held, labels, weaker).weights


def test_candidates_start_with_the_default_and_differ():
    tried = candidates((SUPPORT, "wording", LOSS, SPACE))
    assert SPACE not in tried[0] and tried[0][SUPPORT] == 1.0
    assert len({tuple(sorted(weights.items())) for weights in tried}) == len(tried)
    assert candidates((SUPPORT,))[0] == {SUPPORT: 1.0}


def test_cross_fitted_scores_come_from_tests_without_the_group():
    held, labels = measured(120, 0.6, 3.0, 4)
    groups = np.arange(120) // 4
    detector = fit_detector(None, held, labels, None)
    from copylens.attributor.folds import fold_index

    folds = fold_index(labels, groups, 5, seed=0)
    got = cross_fitted_scores(detector, held, labels, groups, seed=0)
    rest = folds != 2
    tests = {n: TypicalityTest.fit(v[rest], labels[rest]) for n, v in held.items()}
    expected = Detector(None, tests, detector.weights).score(
        {n: v[folds == 2] for n, v in held.items()}
    )
    np.testing.assert_array_equal(got[folds == 2], expected)


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
            made.append(States(values, none, spans, 12))
        return made

    known = [item for kind in range(K) for item in states(kind, 30)]
    labels = np.repeat(np.arange(K), 30)
    config = DetectorConfig(epochs=20, embedding=8, batch_size=32)
    projector = fit_projector(network, known, labels, config, seed=0)
    return network, projector, known, labels, states(5, 30)


def features(network, items):
    from copylens.attributor.attention.training import predict

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
    half = np.arange(len(known)) % 2 == 0
    fitted = [item for item, keep in zip(known, half) if keep]
    held = [item for item, keep in zip(known, half) if not keep]
    room = Space.fit(projector, features(network, fitted), labels[half])

    def plain(items) -> dict:
        even = np.full((len(items), K), np.log(K))
        return {SUPPORT: even, SPACE: room.distance(features(network, items))}

    detector = fit_detector(room, plain(held), labels[~half], plain(strange))
    assert SPACE in detector.weights
    inside, outside = detector.score(plain(held)), detector.score(plain(strange))
    assert (outside[:, None] > inside[None, :]).mean() > 0.8
