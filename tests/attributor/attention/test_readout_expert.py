"""The read-out expert in a small world, and its codes through mixtures, segments and the disk."""

import numpy as np
import pytest

from copylens.attributor.attention.network import AttributorNetwork, NetworkShape
from copylens.attributor.attention.readout_arrays import expert_arrays, expert_from
from copylens.attributor.attention.readout_expert import (
    code_views,
    fit_readout_expert,
    masked,
    pool,
)
from copylens.attributor.attributor import Channels, segment_spans
from copylens.attributor.fusion import log_softmax
from copylens.attributor.lexical.ridge import ridge_duals
from copylens.attributor.mixtures import make_mixtures
from copylens.records import States

K, WINDOW = 3, 4


def codes_of(kind: int, generator: np.random.Generator, windows: int = 20) -> np.ndarray:
    """Common codes, some codes of the kind, and names that differ from passage to passage."""
    common = generator.integers(1, 40, windows * WINDOW)
    own = generator.integers(100 * (kind + 1), 100 * (kind + 1) + 15, windows * WINDOW)
    codes = np.where(generator.random(windows * WINDOW) < 0.2, own, common)
    codes = np.where(generator.random(len(codes)) < 0.1, -generator.integers(1, 40), codes)
    return codes.astype(np.int16).reshape(windows, WINDOW)


def world(n: int, seed: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % K
    codes = [codes_of(int(k), generator) for k in labels]
    return codes, labels, labels + K * (np.arange(n) // K % 4)


@pytest.fixture(scope="module")
def expert():
    return fit_readout_expert(*world(120, 0), classes=K, seed=0)


def test_it_tells_kinds_apart(expert):
    codes, labels, _ = world(60, 1)
    log_probs = expert.log_probs(codes)
    assert (log_probs.argmax(axis=1) == labels).mean() > 0.95
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1)
    # The temperature is fitted on held-out scores: neither timid nor wild.
    assert -log_probs[np.arange(60), labels].mean() < 0.3
    assert expert.log_probs([]).shape == (0, K)


def test_weights_are_the_dual_solution_of_both_kernels(expert):
    codes, labels, _ = world(120, 0)
    documents = code_views(codes)
    one, two = (expert.views[i].matrix(documents[i]).toarray() for i in (0, 1))
    kernel = (one @ one.T + 2 * two @ two.T).astype(np.float64) / 3
    expected = kernel @ ridge_duals(kernel, labels, K, 0.1)
    np.testing.assert_allclose(expert.scores(codes), expected, atol=1e-4)


def test_a_run_of_name_tokens_counts_as_one_name():
    tokens = np.array([-3, -5, 7, 8, -3, 9, -1, -1, -2])
    np.testing.assert_array_equal(masked(tokens), [0, 7, 8, 0, 9, 0])
    assert len(masked(np.zeros(0, np.int64))) == 0
    # Which name it is does not matter, but that there is one does.
    for view in code_views([np.array([[4, -7, 5]]), np.array([[4, -8, 5]]), np.array([[4, 7, 5]])]):
        assert set(view[0]) == set(view[1]) != set(view[2])


def test_empty_places_are_no_tokens():
    filled = code_views([np.array([[4, 7, 5, 0], [0, 0, 0, 0]])])
    bare = code_views([np.array([[4, 7, 5]])])
    for one, other in zip(filled, bare):
        np.testing.assert_array_equal(one[0], other[0])


def test_round_trip_through_arrays(expert):
    codes, _, _ = world(20, 2)
    again = expert_from(expert_arrays(expert))
    assert again is not None
    np.testing.assert_array_equal(again.log_probs(codes), expert.log_probs(codes))
    assert expert_from({}) is None


def test_pool_is_the_readout_or_the_network_at_its_ends():
    a, b = (log_softmax(np.random.default_rng(i).normal(size=(5, K))) for i in (0, 1))
    np.testing.assert_allclose(pool(a, b, 0.0), a)
    np.testing.assert_allclose(pool(a, b, 1.0), b)
    mean = np.exp(a + b) ** 0.5
    np.testing.assert_allclose(np.exp(pool(a, b, 0.5)), mean / mean.sum(1, keepdims=True))


def states_of(codes: np.ndarray, generator: np.random.Generator) -> States:
    W = len(codes)
    spans = np.stack([np.arange(W) * 5, np.arange(W) * 5 + 5], axis=1)
    values = generator.normal(size=(W, 6)).astype(np.float16)
    return States(values, np.zeros((W, 0), np.float16), spans, codes, int((codes != 0).sum()))


def test_segments_hold_the_texts_codes(expert):
    generator = np.random.default_rng(3)
    codes, _, _ = world(6, 4)
    codes[0][-1, 2:] = 0  # a text that does not fill its last window
    states = [states_of(item[: 9 + n], generator) for n, item in enumerate(codes)]
    network = AttributorNetwork(NetworkShape(6, K, 8, 8, 0.0)).eval()
    channels = Channels({"attention": network}, None, expert, 0.0, WINDOW)
    evidence = channels.evidence(["x" * 100] * 6, states)
    for n, item in enumerate(states):
        per = 8  # 32 tokens
        cut = [item.codes[s : s + per] for s in range(0, len(item.codes), per)]
        np.testing.assert_array_equal(np.concatenate(cut), item.codes)
        assert len(cut) == len(segment_spans(item.spans, per)) == len(evidence.spans[n])
        np.testing.assert_allclose(evidence.segments["attention"][n], expert.log_probs(cut))
    whole = expert.log_probs([item.codes for item in states])
    np.testing.assert_allclose(evidence.text["attention"], whole)


def test_mixtures_keep_codes_with_their_windows():
    generator = np.random.default_rng(5)
    states, texts = [], []
    for n in range(9):
        # The passage's number is in values and codes alike; the last window is half empty.
        codes = np.full((10, WINDOW), n + 1, np.int16)
        codes[-1, 2:] = 0
        item = states_of(codes, generator)
        item.values[:] = n + 1
        states.append(item)
        texts.append(chr(97 + n) * 50)
    for mixture in make_mixtures(texts, states, np.arange(9) % 3, 30, 3, seed=0):
        codes, values = mixture.states.codes, mixture.states.values
        assert len(codes) == len(values) == len(mixture.states.spans)
        for row, value, (start, end) in zip(codes, values, mixture.states.spans):
            assert set(row) - {0} == {int(value[0])}
            assert set(mixture.text[start:end]) == {chr(96 + int(value[0]))}
