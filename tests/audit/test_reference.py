"""N-gram expectations: by counts of others, never of one's own unit."""

import numpy as np
import pytest

from copylens.attributor.lexical.class_lm import ClassLanguageModel
from copylens.audit.reference import ORDERS, ngram_scores


def test_they_are_those_of_a_model_fitted_on_the_other_units():
    rng = np.random.default_rng(0)
    documents = [rng.integers(0, 9, 30) for _ in range(20)]
    labels = np.arange(20) % 2
    units = [f"u{n // 2}" for n in range(20)]
    found = ngram_scores(documents, labels, units, seed=0)
    fold = np.random.default_rng([0, 23]).permutation(10)[np.arange(20) // 2] % 5
    as_ids = [d.astype(np.uint64) + np.uint64(16) for d in documents]
    for n in range(20):
        rest = [i for i in range(20) if fold[i] != fold[n]]
        assert n not in rest and n ^ 1 not in rest
        for number, order in enumerate(ORDERS):
            own = ClassLanguageModel.fit([as_ids[i] for i in rest], labels[rest], 2, order)
            alike = np.zeros(len(rest), int)
            pooled = ClassLanguageModel.fit([as_ids[i] for i in rest], alike, 1, order)
            expected = own.mean_log_probs([as_ids[n]])[0, labels[n]]
            assert found[n, 2 * number] == pytest.approx(expected, rel=1e-5)
            expected = pooled.mean_log_probs([as_ids[n]])[0, 0]
            assert found[n, 2 * number + 1] == pytest.approx(expected, rel=1e-5)


def test_twins_in_one_unit_do_not_know_each_other():
    rng = np.random.default_rng(1)
    documents = [rng.integers(0, 50, 40) for _ in range(12)]
    documents[1] = documents[0]
    labels = np.zeros(12, int)
    apart = ngram_scores(documents, labels, [str(n) for n in range(12)], seed=4)
    together = ngram_scores(documents, labels, ["0", "0", *map(str, range(2, 12))], seed=4)
    assert together[0] == pytest.approx(together[1])
    assert apart[0, -1] > together[0, -1] + 0.5
