"""Channel fusion: weights follow what the channels are worth, and never make things worse."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from copylens.attributor.fusion import fit_fusion, log_softmax


def channel(labels, K, strength, seed):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(len(labels), K))
    logits[np.arange(len(labels)), labels] += strength
    return log_softmax(logits)


@pytest.fixture
def labels():
    return np.random.default_rng(0).integers(0, 4, size=800)


def test_two_independent_channels_beat_each(labels):
    channels = {"a": channel(labels, 4, 1.5, 1), "b": channel(labels, 4, 1.5, 2)}
    fused = fit_fusion(channels, labels).log_probs(channels).argmax(axis=1)
    best = max((c.argmax(axis=1) == labels).mean() for c in channels.values())
    assert (fused == labels).mean() > best + 0.05


def test_noise_gets_no_weight(labels):
    channels = {"good": channel(labels, 4, 2.0, 1), "noise": channel(labels, 4, 0.0, 2)}
    weights = fit_fusion(channels, labels).weights
    assert weights.get("noise", 0.0) < 0.05 * weights["good"]


def test_never_worse_than_the_best_channel(labels):
    """A channel that is confidently wrong on part of the texts must not pull the other down."""
    for seed in range(5):
        wrong = channel((labels + (labels == 2)) % 4, 4, 3.0, seed) * 5
        channels = {"right": channel(labels, 4, 3.0, seed + 50), "wrong": wrong}
        fused = fit_fusion(channels, labels).log_probs(channels).argmax(axis=1)
        best = max((c.argmax(axis=1) == labels).mean() for c in channels.values())
        assert (fused == labels).mean() >= best


def test_a_channel_that_helps_one_group_alone_is_left_out():
    """Within a group it knows the answers, across groups it knows nothing."""
    generator = np.random.default_rng(3)
    groups = np.repeat(np.arange(10), 20)
    labels = np.repeat(generator.integers(0, 3, 10), 20)
    good = channel(labels, 3, 2.0, 4)
    lucky = np.where(groups[:, None] == 0, channel(labels, 3, 9.0, 5), channel(labels, 3, 0.0, 6))
    weights = fit_fusion({"good": good, "lucky": lucky}, labels, groups).weights
    assert "lucky" not in weights


def test_an_overconfident_channel_is_tempered(labels):
    honest = channel(labels, 4, 1.5, 3)
    boasting = log_softmax(honest * 10)
    fused = fit_fusion({"x": boasting}, labels).log_probs({"x": boasting})
    # Tempering a boasting channel recovers a calibrated one: confidence equals accuracy.
    confidence = np.exp(fused.max(axis=1)).mean()
    assert confidence == pytest.approx((fused.argmax(axis=1) == labels).mean(), abs=0.03)


def test_weights_against_scikit_learn():
    """Two classes, one channel: the pool is a logistic regression on the log-odds."""
    labels = np.random.default_rng(5).integers(0, 2, size=2000)
    log_p = channel(labels, 2, 1.0, 6)
    odds = (log_p[:, 1] - log_p[:, 0])[:, None]
    reference = LogisticRegression(C=1e6).fit(odds, labels).coef_[0, 0]
    assert fit_fusion({"x": log_p}, labels).weights["x"] == pytest.approx(reference, rel=0.02)
