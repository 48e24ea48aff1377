"""Training data and fitted models without a file: passages of word lists, states that tell them."""

import random
from collections.abc import Sequence

import numpy as np

from copylens.config.load import build_config
from copylens.config.schema import RunConfig
from copylens.fit.data import TextSet, TrainingData
from copylens.fit.model import FittedModel, fit_model
from copylens.fit.networks import FitState, fit_networks
from copylens.records import Group, Rights, States
from copylens.states.words import word_states
from copylens.verdict.scorer import Scorer
from tests.pipeline_samples import OUTSIDE, WORDS, passage

NAMES = tuple(WORDS)
RIGHTS = tuple(Rights(name, f"{name} Press", "all rights reserved") for name in NAMES)
WINDOW, FEATURES = 16, 6


def config_of(lm: bool = False, **changes: object) -> RunConfig:
    """A run by words alone, or with the attention channel as well."""
    values = {
        "channels": {"attention": lm},
        "probe": {"model": "tiny", "window": WINDOW},
        "attributor": {
            "hidden": 8,
            "projection": 8,
            "epochs": 12,
            "patience": 12,
            "batch_size": 16,
            "learning_rate": 0.02,
            "dropout": 0.1,
            "folds": 2,
        },
        "detector": {"projector": True, "epochs": 3, "embedding": 4},
        "seed": 1,
    }
    return build_config(values | changes)


def texts_of(
    labels: Sequence[int], groups: Sequence[Group], seed: int, features: int = 0
) -> TextSet:
    """Passages of these sub-datasets (-1: none of them) and split groups.

    Args:
        features: width of the states; the label shows in their mean.
    """
    rng, generator = random.Random(seed), np.random.default_rng(seed)
    lists = [*WORDS.values(), OUTSIDE]
    texts = tuple(passage(lists[label], rng) for label in labels)
    states = []
    for label, item in zip(labels, word_states(texts, WINDOW)):
        values = generator.normal(size=(len(item.spans), features))
        values[:, label : label + 1] += 2
        states.append(States(values.astype(np.float16), item.spans, item.tokens))
    return TextSet(texts, tuple(states), np.array(labels), tuple(groups))


def part(name: str, groups: int, seed: int, features: int = 0, size: int = 4) -> TextSet:
    """So many split groups of each sub-dataset, named after the part."""
    rows = [(k, (NAMES[k], f"{name}{g}")) for k in range(3) for g in range(groups)]
    rows = [row for row in rows for _ in range(size)]
    return texts_of([k for k, _ in rows], [group for _, group in rows], seed, features)


def outside(groups: int, seed: int, features: int = 0) -> TextSet:
    """Unregistered passages."""
    names = [("kitchen", f"{seed}-{n // 4}") for n in range(4 * groups)]
    return texts_of([-1] * len(names), names, seed, features)


def training_data(features: int = 0, ood_groups: int = 5) -> TrainingData:
    """Works that train and val do not share."""
    return TrainingData(
        sub_datasets=NAMES,
        train=part("train", 6, 0, features),
        val=part("val", 5, 1, features),
        ood_val=outside(ood_groups, 2, features),
    )


def fitted(config: RunConfig, data: TrainingData) -> FittedModel:
    return fit_model(config, data, fit_networks(config, data, FitState()))


def scorer_of(config: RunConfig, data: TrainingData) -> Scorer:
    return Scorer(fitted(config, data), RIGHTS, config, {"probe_weights": None})
