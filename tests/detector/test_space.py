"""The projector's space: kinds are gathered in it, and what was never seen lies outside."""

import numpy as np
import pytest
import torch

from copylens.attributor.attention.network import AttributorNetwork, NetworkShape
from copylens.attributor.attention.training import predict
from copylens.config.schema import DetectorConfig
from copylens.detector.auroc import auroc
from copylens.detector.projector import fit_projector
from copylens.detector.space import Space
from copylens.records import FloatArray, States

K = 3
CONFIG = DetectorConfig(epochs=20, embedding=8, batch_size=32)


def states(kind: int, n: int, seed: int) -> list[States]:
    generator = np.random.default_rng([seed, kind])
    made = []
    for _ in range(n):
        values = generator.normal(size=(12, 8)).astype(np.float16)
        values[:, kind] += 2
        made.append(States(values, np.zeros((12, 2), np.int32), 12))
    return made


@pytest.fixture(scope="module")
def network() -> AttributorNetwork:
    torch.manual_seed(0)
    return AttributorNetwork(NetworkShape(8, K, 8, 8, 0.0)).eval()


@pytest.fixture(scope="module")
def space(network) -> Space:
    known = [item for kind in range(K) for item in states(kind, 30, 0)]
    labels = np.repeat(np.arange(K), 30)
    projector = fit_projector(network, known, labels, CONFIG, seed=0)
    return Space.fit(projector, features(network, known), labels)


def features(network: AttributorNetwork, items: list[States]) -> FloatArray:
    return predict(network, tuple(item.values for item in items)).features


def test_new_passages_lie_nearest_to_their_own_kind(network, space) -> None:
    new = [item for kind in range(K) for item in states(kind, 20, 1)]
    distance = space.distance(features(network, new))
    assert distance.shape == (60, K)
    assert distance.min() >= -1e-6 and distance.max() <= 2 + 1e-6
    assert (distance.argmin(axis=1) == np.repeat(np.arange(K), 20)).mean() > 0.9


def test_a_kind_never_seen_lies_outside(network, space) -> None:
    known = [item for kind in range(K) for item in states(kind, 20, 2)]
    near = space.distance(features(network, known)).min(axis=1)
    far = space.distance(features(network, states(5, 40, 2))).min(axis=1)
    assert auroc(near, far) > 0.8


def test_a_centre_is_the_direction_of_the_mean_of_its_passages(network, space) -> None:
    known = [item for kind in range(K) for item in states(kind, 30, 0)]
    points = space.projector.embed(features(network, known))
    for kind in range(K):
        mean = points[30 * kind : 30 * kind + 30].mean(axis=0)
        np.testing.assert_allclose(
            space.centres[kind], mean / np.linalg.norm(mean), rtol=1e-5, atol=1e-6
        )
