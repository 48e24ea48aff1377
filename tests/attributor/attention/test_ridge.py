"""The ridge reader against scikit-learn's, and what it says of short texts and of windows."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.linear_model import Ridge

from copylens.attributor.attention import parallel, ridge
from copylens.attributor.attention.dataset import StateSet
from copylens.attributor.attention.reader import build_reader
from copylens.attributor.attention.ridge import RidgeReader, fit_ridge
from copylens.attributor.attention.training import predict

K, F, GROUPS = 3, 12, 5


def passages(count: int, seed: int, noise: float = 1.0) -> StateSet:
    """Windows around a direction of their class and one of their split group."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(K, F))
    labels = generator.integers(0, K, count)
    groups = labels * GROUPS + generator.integers(0, GROUPS, count)
    strays = np.random.default_rng(1).normal(size=(K * GROUPS, F))
    values = tuple(
        (centres[k] + 0.5 * strays[g] + noise * generator.normal(size=(W, F))).astype(np.float16)
        for k, g, W in zip(labels, groups, generator.integers(1, 14, count))
    )
    return StateSet(values, labels, groups)


@pytest.fixture(scope="module")
def data() -> StateSet:
    return passages(400, seed=3, noise=4.0)


@pytest.fixture(scope="module")
def reader(data) -> RidgeReader:
    return fit_ridge(data, K, seed=0)[0]


def pooled(data: StateSet, reader: RidgeReader) -> np.ndarray:
    rows = np.stack([v.mean(axis=0, dtype=np.float64) for v in data.values])
    return (rows - reader.mean.numpy()) / reader.scale.numpy()


def test_its_weights_are_those_of_scikit_learn(data, reader, monkeypatch):
    x = pooled(data, reader)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(x.std(axis=0), 1, atol=1e-4)
    monkeypatch.setattr(ridge, "_RIDGES", (0.1,))
    found = fit_ridge(data, K, seed=0)[0]
    expected = Ridge(alpha=0.1 * F).fit(x, np.eye(K)[data.labels])
    np.testing.assert_allclose(found.head.weight.numpy(), expected.coef_, atol=1e-4)
    np.testing.assert_allclose(found.head.bias.numpy(), expected.intercept_, atol=1e-4)


def test_it_reads_new_passages(reader):
    new = passages(300, seed=9, noise=4.0)
    right = predict(reader, new.values).text.argmax(axis=1) == new.labels
    assert right.mean() > 0.7


def test_a_window_is_read_as_a_text_of_one_window(data, reader):
    found = predict(reader, data.values)
    for n in (0, 7, 20):
        alone = predict(
            reader, tuple(data.values[n][w : w + 1] for w in range(len(data.values[n])))
        )
        np.testing.assert_allclose(found.windows[n], alone.text, atol=1e-4)


def test_neighbours_and_padding_do_not_matter(data, reader):
    together = predict(reader, data.values[:40])
    for n in (0, 13, 39):
        alone = predict(reader, data.values[n : n + 1])
        np.testing.assert_allclose(alone.text[0], together.text[n], atol=1e-4)
        np.testing.assert_allclose(alone.features[0], together.features[n], atol=1e-4)


def test_short_texts_are_told_with_more_care_and_rightly(reader):
    """Cross-entropy on new passages: near the best factor for each length, learned on the test."""
    new = passages(2000, seed=11, noise=4.0)
    for windows in (1, 3, 10):
        kept = [n for n, v in enumerate(new.values) if len(v) >= windows]
        found = predict(reader, tuple(new.values[n][:windows] for n in kept)).text
        labels = new.labels[kept]

        def loss(factor, found=found, labels=labels):
            log_p = log_softmax(found * factor, axis=1)
            return -log_p[np.arange(len(labels)), labels].mean()

        best = min(loss(factor) for factor in np.geomspace(0.2, 5, 40))
        assert loss(1.0) < best + 0.03, windows
    one, ten = (float(reader._factor(torch.tensor(float(w)))) for w in (1, 10))
    assert one < 0.7 * ten


def test_the_order_of_passages_changes_nothing_but_rounding(data, reader):
    order = np.random.default_rng(5).permutation(len(data))
    moved = StateSet(tuple(data.values[i] for i in order), data.labels[order], data.groups[order])
    again = fit_ridge(moved, K, seed=0)[0]
    np.testing.assert_allclose(again.head.weight, reader.head.weight, atol=1e-4)


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_add_up_to_one(data, reader, monkeypatch, workers):
    """Each in turn, with what the others would have sent."""
    from threading import Barrier, Thread, local

    here, barrier, sent = local(), Barrier(workers), {}

    def sum_array(array):
        sent[here.rank] = array
        barrier.wait()
        total = sum(sent[n] for n in range(workers))
        barrier.wait()
        return total

    monkeypatch.setattr(parallel, "sum_array", sum_array)
    monkeypatch.setattr(parallel, "my_share", lambda items: items[here.rank :: workers])
    found = {}

    def work(rank):
        here.rank = rank
        found[rank] = fit_ridge(data, K, seed=0)[0]

    threads = [Thread(target=work, args=(rank,)) for rank in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rank in range(workers):
        np.testing.assert_allclose(found[rank].head.weight, reader.head.weight, atol=1e-4)
        np.testing.assert_allclose(found[rank].sharpness, reader.sharpness, rtol=1e-2)


def test_beginnings_have_no_say_in_the_ridge(monkeypatch):
    rng, data = np.random.default_rng(6), passages(240, 0)
    # Beginnings that say nothing.
    noisy = tuple(np.concatenate([rng.normal(size=v.shape) * 9, v]) for v in data.values)
    noisy = StateSet(tuple(v.astype(np.float16) for v in noisy), data.labels, data.groups)
    asked = fit_ridge(noisy, K, seed=0)[0].ridge
    monkeypatch.setattr(ridge, "_BEGINNINGS", (0,))
    assert fit_ridge(noisy, K, seed=0)[0].ridge == asked


def test_round_trip(reader, data):
    again = build_reader(vars(reader.shape))
    again.load_state_dict(reader.state_dict())
    values = data.values[:5]
    np.testing.assert_array_equal(predict(again.eval(), values).text, predict(reader, values).text)


def test_a_fit_on_a_part_takes_over_what_was_chosen_on_the_whole(data):
    whole, right = fit_ridge(data, K, seed=0)
    kept = np.flatnonzero(data.groups % GROUPS == 0)
    part = StateSet(tuple(data.values[i] for i in kept), data.labels[kept], data.groups[kept])
    reader, nothing = fit_ridge(part, K, seed=0, settings=whole.settings)
    assert reader.settings == whole.settings and nothing is None
    alone = fit_ridge(part, K, seed=0)[1]
    assert alone > right, "a known work looks too easy"


def test_the_weakest_setting_that_loses_nothing_to_speak_of():
    noise = np.random.default_rng(2).normal(size=1000)
    alike = 1.004 + 0.2 * noise[::-1] + noise
    losses = {0.1: 1.2 + noise, 0.3: alike, 1.0: 1 + noise, 3.0: 1 + noise}
    assert ridge.weakest(losses) == 0.3, "0.1 loses 0.2 on every passage"
    assert ridge.weakest({1.0: 1 + noise, 0.3: 1.001 + noise}) == 1.0, "small, but no chance"
    assert ridge.weakest({0.3: np.ones(5)}) == 0.3
