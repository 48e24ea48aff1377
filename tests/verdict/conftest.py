"""Fitted scorers without a corpus: one by words alone, one with an attention channel as well."""

import pytest

from copylens.verdict.scorer import Scorer
from tests.fit.fit_samples import FEATURES, config_of, scorer_of, training_data


@pytest.fixture(scope="session")
def words() -> Scorer:
    return scorer_of(config_of(), training_data())


@pytest.fixture(scope="session")
def words_and_states() -> Scorer:
    return scorer_of(config_of(lm=True), training_data(FEATURES))
