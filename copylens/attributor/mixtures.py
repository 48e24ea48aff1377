"""Mixtures of held-out passages with known borders, to calibrate shares on and to test them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from copylens.records import FloatArray, IntArray, States


@dataclass(frozen=True)
class Texts:
    """Texts [N] with their states and labels."""

    texts: Sequence[str]
    states: Sequence[States]
    labels: IntArray


@dataclass(frozen=True)
class Mixture:
    """A text joined from several passages.

    Attributes:
        text: the joined text.
        states: the joined states; they were read in their own passages, not in this one.
        borders: (start, end, label) of each part, characters, end exclusive.
    """

    text: str
    states: States
    borders: tuple[tuple[int, int, int], ...]


def make_mixtures(
    texts: Sequence[str],
    states: Sequence[States],
    labels: IntArray,
    count: int,
    most_parts: int,
    seed: int,
) -> list[Mixture]:
    """Joins contiguous blocks of 2..most_parts passages of different sub-datasets.

    Proportions are Dirichlet(1); the length is about that of one passage. Fewer parts are used
    where there are fewer sub-datasets.
    """
    generator = np.random.default_rng([seed, 77])
    present = np.unique(labels)
    mixtures = []
    for _ in range(count):
        parts = min(int(generator.integers(2, most_parts + 1)), len(present))
        chosen = generator.choice(present, parts, replace=False)
        members = [int(generator.choice(np.flatnonzero(labels == label))) for label in chosen]
        proportions = generator.dirichlet(np.ones(parts))
        mixtures.append(_join(texts, states, labels, members, proportions, generator))
    return mixtures


def join_pairs(first: Texts, second: Texts, count: int, seed: Sequence[int]) -> list[Mixture]:
    """Joins a block of one set's passage and one of the other's, in random order.

    Proportions are Dirichlet(1); the length is about that of one passage.
    """
    generator = np.random.default_rng([*seed, 78])
    texts, states = [*first.texts, *second.texts], [*first.states, *second.states]
    labels = np.concatenate([first.labels, second.labels])
    border = len(first.texts)
    mixtures = []
    for _ in range(count):
        members = [
            int(generator.integers(border)),
            border + int(generator.integers(len(second.texts))),
        ]
        generator.shuffle(members)
        proportions = generator.dirichlet(np.ones(2))
        mixtures.append(_join(texts, states, labels, members, proportions, generator))
    return mixtures


def beginnings(given: Texts, windows: int) -> Texts:
    """The first windows of each text, at most so many.

    What a causal LM computes does not depend on what follows, so these are the states of a text
    that is so short. Those of a stretch from the middle are not: they have seen what is before it.
    """
    texts, states = [], []
    for text, item in zip(given.texts, given.states):
        block = item.block(0, windows)
        first, last = int(block.spans[0, 0]), int(block.spans[-1, 1])
        texts.append(text[first:last])
        states.append(replace(block, spans=block.spans - first))
    return Texts(texts, states, given.labels)


def true_shares(mixture: Mixture, classes: int) -> FloatArray:
    """[K] proportions by characters; they sum to 1."""
    shares = np.zeros(classes)
    for start, end, label in mixture.borders:
        shares[label] += end - start
    return np.asarray(shares / shares.sum())


def segment_labels(mixture: Mixture, spans: IntArray) -> IntArray:
    """[S] the label of the part that covers the middle of each segment."""
    middle = spans.mean(axis=1)
    ends = np.array([end for _, end, _ in mixture.borders])
    part = np.minimum(np.searchsorted(ends, middle, side="right"), len(ends) - 1)
    return np.asarray([mixture.borders[p][2] for p in part])


def _join(
    texts: Sequence[str],
    states: Sequence[States],
    labels: IntArray,
    members: Sequence[int],
    proportions: FloatArray,
    generator: np.random.Generator,
) -> Mixture:
    room = len(states[members[0]].values)
    text, borders, blocks = "", [], []
    for member, proportion in zip(members, proportions):
        item = states[member]
        take = min(len(item.values), max(1, round(room * proportion)))
        start = int(generator.integers(0, len(item.values) - take + 1))
        block = item.block(start, start + take)
        first, last = int(block.spans[0, 0]), int(block.spans[-1, 1])
        offset = len(text)
        text += texts[member][first:last] + " "
        borders.append((offset, len(text), int(labels[member])))
        blocks.append(replace(block, spans=block.spans - first + offset))
    return Mixture(text, join_states(blocks), tuple(borders))


def join_states(blocks: Sequence[States]) -> States:
    """States of several stretches of text as if they were one; spans must fit already."""
    return States(
        values=np.concatenate([block.values for block in blocks]),
        spans=np.concatenate([block.spans for block in blocks]),
        tokens=sum(block.tokens for block in blocks),
    )
