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


@pytest.mark.parametrize(("calibrated", "nearly"), [(False, 0.1), (True, 0.12)])
def test_few_texts_leave_the_weights_nearly_equal(labels, calibrated, nearly):
    """A lucky channel does not get all of the weight from a handful of texts."""
    channels = {"good": channel(labels, 4, 3.0, 1), "noise": channel(labels, 4, 0.0, 2)}

    def apart(texts: int) -> float:
        weights = fit_fusion(channels, labels, texts=texts, calibrated=calibrated).weights
        return abs(weights["good"] - weights.get("noise", 0.0)) / sum(weights.values())

    parts = [apart(texts) for texts in (1, 5, 30, 800)]
    assert parts == sorted(parts)
    assert parts[0] < nearly and parts[-1] > 0.9


def test_five_texts_right_by_chance_do_not_silence_the_other_channel():
    few = np.arange(5) % 3
    channels = {"lucky": channel(few, 3, 9.0, 3), "honest": channel(few, 3, 1.0, 4)}
    weights = fit_fusion(channels, few).weights
    assert weights["honest"] > 0.3 * weights["lucky"] > 0


def test_segments_count_as_the_texts_that_they_come_from(labels):
    """Rows given ten times over, said to be as few texts, weigh as they did once."""
    channels = {"a": channel(labels, 4, 1.5, 1), "b": channel(labels, 4, 0.5, 2)}
    tenfold = {name: np.repeat(values, 10, axis=0) for name, values in channels.items()}
    once = fit_fusion(channels, labels, texts=20).weights
    repeated = fit_fusion(tenfold, np.repeat(labels, 10), texts=20).weights
    assert repeated == pytest.approx(once, rel=1e-3)


def test_weights_are_never_negative_and_the_order_of_the_channels_does_not_matter(labels):
    wrong = channel((labels + 1) % 4, 4, 3.0, 1)
    channels = {"wrong": wrong, "right": channel(labels, 4, 2.0, 2)}
    weights = fit_fusion(channels, labels).weights
    assert min(weights.values()) >= 0
    turned = fit_fusion(dict(reversed(channels.items())), labels).weights
    assert turned == pytest.approx(weights, abs=1e-3)


def test_an_overconfident_channel_is_tempered(labels):
    honest = channel(labels, 4, 1.5, 3)
    boasting = log_softmax(honest * 10)
    fused = fit_fusion({"x": boasting}, labels, calibrated=False).log_probs({"x": boasting})
    # Tempering a boasting channel recovers a calibrated one: confidence equals accuracy.
    confidence = np.exp(fused.max(axis=1)).mean()
    assert confidence == pytest.approx((fused.argmax(axis=1) == labels).mean(), abs=0.03)


def test_weights_against_scikit_learn():
    """Two classes, one channel: the pool is a logistic regression on the log-odds."""
    labels = np.random.default_rng(5).integers(0, 2, size=2000)
    log_p = channel(labels, 2, 1.0, 6)
    odds = (log_p[:, 1] - log_p[:, 0])[:, None]
    reference = LogisticRegression(C=1e6).fit(odds, labels).coef_[0, 0]
    fused = fit_fusion({"x": log_p}, labels, calibrated=False)
    assert fused.weights["x"] == pytest.approx(reference, rel=0.02)


def test_calibrated_channels_get_weights_that_sum_to_one_unless_many_texts_object(labels):
    honest = {"a": channel(labels, 4, 1.5, 1), "b": channel(labels, 4, 0.5, 2)}
    meek = {name: values / 3 for name, values in honest.items()}

    def total(texts: int) -> float:
        return sum(fit_fusion(meek, labels, texts=texts).weights.values())

    free = sum(fit_fusion(meek, labels, calibrated=False).weights.values())
    assert free > 3
    assert total(5) == pytest.approx(1, abs=0.05)
    assert 1.05 < total(800) < total(8000) < free
