"""Class language models against a plain implementation, and their invariances."""

from collections import Counter

import numpy as np
import pytest

from copylens.attributor.lexical.class_lm import ClassLanguageModel
from copylens.text import token_ids

ORDER, K = 3, 2
DOCUMENTS = ["a b a c", "a b b", "c c a b a", "b"]
LABELS = np.array([0, 1, 1, 0])


def plain_log_prob(documents, text, order) -> float:
    """Mean Witten-Bell log-probability by dictionaries, one sub-dataset's documents at hand."""
    grams, following = Counter(), Counter()
    for document in documents:
        tokens = ["<s>"] * (order - 1) + document.split()
        for at in range(order - 1, len(tokens)):
            for n in range(1, order + 1):
                grams[tuple(tokens[at - n + 1 : at + 1])] += 1
    for gram in grams:
        following[len(gram), gram[:-1]] += 1
    vocabulary = {token for document in DOCUMENTS for token in document.split()}
    tokens, total = ["<s>"] * (order - 1) + text.split(), 0.0
    for at in range(order - 1, len(tokens)):
        p = 1 / len(vocabulary)
        for n in range(1, order + 1):
            gram = tuple(tokens[at - n + 1 : at + 1])
            seen = sum(v for g, v in grams.items() if len(g) == n and g[:-1] == gram[:-1])
            distinct = following[n, gram[:-1]]
            if seen:
                p = (grams[gram] + distinct * p) / (seen + distinct)
        total += np.log(p)
    return total / len(text.split())


@pytest.fixture(scope="module")
def model() -> ClassLanguageModel:
    return ClassLanguageModel.fit([ids(d) for d in DOCUMENTS], LABELS, K, ORDER)


def ids(text: str):
    return token_ids(text.split())


@pytest.mark.parametrize("text", ["a b a", "c", "a z b", "z z", "b b b c a"])
def test_against_a_plain_implementation(model, text):
    got = model.mean_log_probs([ids(text)])[0]
    for k in range(K):
        mine = [d for d, label in zip(DOCUMENTS, LABELS) if label == k]
        assert got[k] == pytest.approx(plain_log_prob(mine, text, ORDER), rel=1e-5)


def test_it_is_a_distribution_over_the_next_token(model):
    """Over the whole vocabulary, in any context, the probabilities sum to 1."""
    for context in ("a", "c c", "z"):
        n = len(context.split())
        before = model.mean_log_probs([ids(context)])[0] * n
        after = [model.mean_log_probs([ids(f"{context} {t}")])[0] * (n + 1) for t in "abc"]
        np.testing.assert_allclose(np.exp(np.array(after) - before).sum(axis=0), 1.0, rtol=1e-5)


def test_texts_do_not_touch_each_other(model, monkeypatch):
    texts = [ids(t) for t in ("a b", "", "c c a", "b a z")]
    together = model.mean_log_probs(texts)
    assert np.isnan(together[1]).all(), "of an empty text there is nothing to say"
    monkeypatch.setattr("copylens.attributor.lexical.class_lm._BLOCK", 2)
    np.testing.assert_allclose(model.mean_log_probs(texts), together, rtol=1e-6)
    for text, row in zip(texts, together):
        np.testing.assert_allclose(model.mean_log_probs([text])[0], row, rtol=1e-6)


def test_its_own_words_are_the_likeliest(model):
    log_probs = model.mean_log_probs([ids(d) for d in DOCUMENTS])
    np.testing.assert_array_equal(log_probs.argmax(axis=1), LABELS)
