"""Fitted scorers without a corpus: of either channel, of both, and without unregistered texts."""

import pytest

from copylens.verdict.scorer import Scorer
from tests.fit.fit_samples import FEATURES, config_of, scorer_of, training_data


@pytest.fixture(scope="session")
def words() -> Scorer:
    return scorer_of(config_of(), training_data())


@pytest.fixture(scope="session")
def words_and_states() -> Scorer:
    return scorer_of(config_of(lm=True), training_data(FEATURES))


@pytest.fixture(scope="session")
def states_alone() -> Scorer:
    config = config_of(lm=True, channels={"attention": True, "lexical": False})
    return scorer_of(config, training_data(FEATURES))


@pytest.fixture(scope="session")
def no_strangers() -> Scorer:
    return scorer_of(config_of(), training_data(ood_groups=0))
