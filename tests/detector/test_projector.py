"""The projector: the unit sphere, what attracts in it, and standardised inputs."""

import numpy as np
import pytest
import torch
from sklearn.metrics import silhouette_score

from copylens.attributor.attention.network import AttributorNetwork, NetworkShape
from copylens.attributor.attention.training import predict
from copylens.config.schema import DetectorConfig
from copylens.detector.projector import Projector, ProjectorShape, fit_projector
from copylens.records import IntArray, States

F, N, K = 6, 48, 3


@pytest.fixture(scope="module")
def network() -> AttributorNetwork:
    torch.manual_seed(0)
    return AttributorNetwork(NetworkShape(F, K, 8, 8, 0.0)).eval()


@pytest.fixture(scope="module")
def passages() -> tuple[list[States], IntArray]:
    """Passages of three kinds; each is a kind's direction and noise of its own."""
    generator = np.random.default_rng(1)
    labels = np.arange(N) % K
    kinds = generator.normal(size=(K, F))
    states = []
    for label in labels:
        values = (kinds[label] + generator.normal(size=(12, F))).astype(np.float16)
        spans = np.arange(24, dtype=np.int32).reshape(12, 2)
        states.append(States(values, spans, 12))
    return states, labels


def features_of(network: AttributorNetwork, states: list[States]) -> np.ndarray:
    return predict(network, tuple(item.values for item in states)).features


def test_embeddings_lie_on_the_unit_sphere_whatever_the_features() -> None:
    projector = Projector(ProjectorShape(F, 4))
    features = np.random.default_rng(0).normal(size=(9, F)) * 100
    embedded = projector.embed(features)
    assert embedded.shape == (9, 4)
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, rtol=1e-6)


def test_embedding_is_the_layers_by_hand_and_never_drops_out() -> None:
    projector = Projector(ProjectorShape(F, 4)).train()
    projector.mean, projector.scale = torch.full((F,), 2.0), torch.full((F,), 3.0)
    features = np.random.default_rng(0).normal(size=(5, F)).astype(np.float32)
    _, first, _, last = projector.layers
    hidden = (features - 2) / 3 @ first.weight.detach().numpy().T + first.bias.detach().numpy()
    active = torch.nn.functional.gelu(torch.from_numpy(hidden)).numpy()
    out = active @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    expected = out / np.linalg.norm(out, axis=1, keepdims=True)
    for _ in range(2):
        np.testing.assert_allclose(projector.embed(features), expected, atol=1e-5)


def test_training_brings_passages_of_a_sub_dataset_together(network, passages) -> None:
    """By the silhouette: how much nearer one's own kind is than the next one, in [-1, 1]."""
    states, labels = passages
    features = features_of(network, states)
    settings = DetectorConfig(embedding=8, epochs=15, batch_size=16)
    fitted = fit_projector(network, states, labels, settings, seed=0)
    torch.manual_seed(0)
    untrained = Projector(fitted.shape)
    untrained.mean, untrained.scale = fitted.mean, fitted.scale
    after, before = (silhouette_score(p.embed(features), labels) for p in (fitted, untrained))
    assert after > before + 0.2


def test_labels_count_only_where_supcon_is_on(network, passages) -> None:
    states, labels = passages
    others = np.arange(N) // (N // K)
    embedded = {}
    for supcon in (True, False):
        settings = DetectorConfig(embedding=8, epochs=2, batch_size=16, supcon=supcon)
        embedded[supcon] = [
            fit_projector(network, states, named, settings, seed=0).embed(
                features_of(network, states)
            )
            for named in (labels, others)
        ]
    np.testing.assert_array_equal(*embedded[False])
    assert np.abs(embedded[True][0] - embedded[True][1]).max() > 0.01


def test_the_same_seed_fits_the_same_projector_and_another_does_not(network, passages) -> None:
    states, labels = passages
    settings = DetectorConfig(embedding=8, epochs=1, batch_size=16)
    first, again, other = (
        fit_projector(network, states, labels, settings, seed).state_dict() for seed in (3, 3, 4)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["layers.1.weight"], other["layers.1.weight"])


def test_a_feature_that_never_changes_does_not_break_the_scale(network, passages) -> None:
    states, labels = passages
    same = [states[0]] * len(states)
    settings = DetectorConfig(embedding=8, epochs=1, batch_size=16)
    fitted = fit_projector(network, same, labels, settings, seed=0)
    assert (fitted.scale >= 1e-4).all()
    assert np.isfinite(fitted.embed(features_of(network, states))).all()
