"""The lexical channel's parts against other libraries, brute force and small worlds."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.kernel_ridge import KernelRidge

from copylens.attributor.lexical.classifier import LexicalClassifier
from copylens.attributor.lexical.experts import fit_gate
from copylens.attributor.lexical.fit import fit_lexical
from copylens.attributor.lexical.names import NameRecord
from copylens.attributor.lexical.ngrams import NgramView, char_ngram_ids, word_ngram_ids
from copylens.attributor.lexical.ridge import gram, out_of_fold, ridge_duals
from tests.pipeline_samples import WORDS, passage

TEXTS = ["abc abd", "abcabc", "xyz", "Ünïcode ☃ text", "a"]


@pytest.mark.parametrize("span", [(1, 1), (2, 3), (3, 5)])
def test_character_ids_count_as_scikit_learn_does(span):
    counter = CountVectorizer(analyzer="char", ngram_range=span, lowercase=False)
    try:
        expected = counter.fit_transform(TEXTS).toarray()
    except ValueError:
        pytest.skip("no n-gram that long")
    for text, row in zip(TEXTS, expected):
        _, counts = np.unique(char_ngram_ids(text, *span), return_counts=True)
        assert sorted(counts) == sorted(row[row > 0])


def test_ids_tell_order_length_and_words_apart():
    one = set(word_ngram_ids(["a", "b", "c"], 1, 3))
    assert len(one) == 6
    assert not one & set(word_ngram_ids(["c", "b"], 2, 2))
    assert one & set(word_ngram_ids(["b"], 1, 1))
    assert not set(word_ngram_ids(["ab"], 1, 1)) & set(word_ngram_ids(["a", "b"], 1, 2))


def test_view_against_the_formula():
    documents = [np.array([1, 1, 1, 2], np.uint64), np.array([1, 3], np.uint64)]
    view = NgramView.fit([*documents, np.array([2, 3], np.uint64)])
    idf = {i: np.log(4 / 3) + 1 for i in (1, 2, 3)}
    got = view.matrix([np.array([1, 1, 1, 2, 9], np.uint64)]).toarray()[0]
    unseen = np.log(4 / 2) + 1
    raw = np.array([np.sqrt(3) * idf[1], idf[2], 0.0])
    np.testing.assert_allclose(got, raw / np.sqrt((raw**2).sum() + unseen**2), rtol=1e-6)


def test_gram_against_a_dense_product():
    rows = sparse.random(40, 300, density=0.1, format="csr", random_state=0, dtype=np.float32)
    rows[:, :5] = 1.0  # frequent columns take the dense path
    rows = sparse.csr_matrix(rows)
    np.testing.assert_allclose(gram(rows), (rows @ rows.T).toarray(), rtol=1e-5)


def test_ridge_against_scikit_learn():
    generator = np.random.default_rng(0)
    x, labels = generator.normal(size=(50, 8)), generator.integers(0, 3, 50)
    targets = np.eye(3)[labels] - np.eye(3)[labels].mean(axis=0)
    reference = KernelRidge(alpha=0.3, kernel="linear").fit(x, targets)
    np.testing.assert_allclose(ridge_duals(x @ x.T, labels, 3, 0.3), reference.dual_coef_)


def test_out_of_fold_is_what_a_refit_gives():
    generator = np.random.default_rng(1)
    x, labels = generator.normal(size=(30, 5)), np.arange(30) % 3
    folds = np.arange(30) % 4
    folds[7] = -1
    got = out_of_fold(x @ x.T, labels, 3, 0.1, folds)
    keep = folds != 2
    duals = ridge_duals(x[keep] @ x[keep].T, labels[keep], 3, 0.1)
    np.testing.assert_allclose(got[folds == 2], x[folds == 2] @ x[keep].T @ duals)
    assert np.isnan(got[7]).all()


def test_names_are_told_by_their_capitals():
    texts = [
        "One day the old man saw Heathcliff. Then Heathcliff left.",
        "The man said no one came. Rose rose early, and Rose sang; the rose was red, a rose.",
    ]
    record = NameRecord.learn(texts, np.array([0, 1]))
    assert record.names_hidden("The Heathcliff man") == ["the", "X", "man"]
    # At the opening of a sentence only the record counts: "One" is a word, "Zog" unknown.
    assert record.names_hidden("One saw.") == ["one", "saw", "."]
    assert record.names_hidden("Zog said so") == ["X", "said", "so"]
    assert record.names_hidden("so I said") == ["so", "i", "said"]
    assert record.rare_hidden(["the", "sang", "man"]) == ["the", "R", "man"]


def test_the_gate_learns_whom_to_trust():
    """Expert 0 is good on unseen works, expert 1 on known ones, where it is also sure."""
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 4, 600)

    def expert(strength):
        scores = generator.normal(size=(600, 4)) * 0.1
        scores[np.arange(600), labels] += strength
        return scores

    known = np.stack([expert(0.1), expert(0.6)])
    unseen = np.stack([expert(0.3), expert(0.0)])
    gate = fit_gate(known, unseen, (labels, labels))
    assert gate.known(known).mean() > 0.8 > 0.2 > gate.known(unseen).mean()
    assert (gate.log_probs(known).argmax(axis=1) == labels).mean() > 0.95
    alone = (unseen[0].argmax(axis=1) == labels).mean()
    assert (gate.log_probs(unseen).argmax(axis=1) == labels).mean() > alone - 0.03


@pytest.fixture(scope="module")
def fitted():
    import random

    rng = random.Random(0)
    texts, labels, groups = [], [], []
    for k, words in enumerate(WORDS.values()):
        for i in range(24):
            texts.append(passage(words, rng))
            labels.append(k)
            groups.append(k * 6 + i // 4)
    return fit_lexical(texts, np.array(labels), np.array(groups), 3, seed=0)


def test_it_knows_the_words_it_was_taught(fitted):
    texts = ["the ship and the crew in the storm", "the judge of the court", "a loop of the array"]
    log_probs = fitted.log_probs(texts)
    np.testing.assert_array_equal(log_probs.argmax(axis=1), [0, 1, 2])
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1.0)
    assert fitted.log_probs([]).shape == (0, 3)


def test_arrays_round_trip(fitted):
    again = LexicalClassifier.from_arrays(fitted.arrays())
    texts = ["The captain went to court.", "", "☃"]
    np.testing.assert_array_equal(again.log_probs(texts), fitted.log_probs(texts))


def test_a_text_does_not_depend_on_those_beside_it(fitted):
    texts = ["the ship", "a court of law and order", "return the value"]
    together = fitted.log_probs(texts)
    for i, text in enumerate(texts):
        np.testing.assert_allclose(fitted.log_probs([text])[0], together[i], atol=1e-6)


def test_blanks_have_the_usual_likelihood(fitted):
    """The language models give no vote on a text without a token."""
    reading = fitted.read([" \t ", "the ship"])
    np.testing.assert_array_equal(reading.style[0], fitted.centre[1])
    assert np.isfinite(reading.log_probs).all()
