"""Which held-out texts each fit judges: passages, and texts joined of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from copylens.attributor.mixtures import Mixture, join_pairs, make_mixtures
from copylens.config.schema import RunConfig
from copylens.fit.cross_fit import CrossFit, unregistered_parts
from copylens.fit.data import TrainingData
from copylens.records import IntArray, States

MOST_JOINED = 400
"""Joined texts of each kind over all fits: enough for a handful of settings."""
# Fewer passages make fewer different ones, and each has to be read.
_LEAST_JOINED = 100

ReadTexts = Callable[[Sequence[str]], Sequence[States]]
"""Reads texts with the LM of the run, in order."""


@dataclass(frozen=True)
class Hand:
    """What one fit judges.

    Attributes:
        fold: the fold of train that the fit was made without; None: it was fitted on all of train.
        val: positions in val.
        mixed: texts joined of these val passages.
        foreign: part of the unregistered passages (see `unregistered_parts`) -> those positions
            in it that this fit judges, without what was learned from the part.
        partly: part -> texts joined of one of these val passages and one of the part's each.
    """

    fold: int | None
    val: IntArray
    mixed: tuple[Mixture, ...]
    foreign: Mapping[int, IntArray]
    partly: Mapping[int, tuple[Mixture, ...]]

    @property
    def joined(self) -> Iterator[Mixture]:
        """All that is joined, in one order."""
        yield from self.mixed
        for mixtures in self.partly.values():
            yield from mixtures


def deal(config: RunConfig, data: TrainingData, read: ReadTexts | None = None) -> list[Hand]:
    """Deals every val passage to a fit that has not seen its split group.

    Unregistered passages go to the same fits in turn, so that both are judged by fits of one
    strength.

    Args:
        read: reads the joined texts, as a text in question is read: as a whole. None: the states
            of their passages are joined, which is the same only where states do not depend on what
            stands before them, as those of words.
    """
    cross_fit = CrossFit.plan(config, data.train, data.val)
    folds = [fold for fold in cross_fit.fits if len(cross_fit.judged(fold))]
    # Only an exposure learns from unregistered passages; else each is judged once.
    parts = unregistered_parts(data.ood_val) if config.channels.attention else []
    hands = []
    for number, fold in enumerate(folds):
        foreign = np.arange(number, len(data.ood_val), len(folds))
        dealt = {p: np.intersect1d(part, foreign) for p, part in enumerate(parts)} or {0: foreign}
        dealt = {p: index for p, index in dealt.items() if len(index)}
        hands.append(_hand(config, data, fold, cross_fit.judged(fold), dealt))
    return hands if read is None else _read(hands, read)


def _hand(
    config: RunConfig,
    data: TrainingData,
    fold: int | None,
    val: IntArray,
    foreign: Mapping[int, IntArray],
) -> Hand:
    held = data.val.subset(val).numbered(data.classes)
    seed = config.seed + (0 if fold is None else 1 + fold)
    count = max(1, round(joined_texts(len(data.val)) * len(val) / len(data.val)))
    most = config.attributor.mixture_parts
    mixed = make_mixtures(held.texts, held.states, held.labels, count, most, seed)
    total, partly, so_far = sum(map(len, foreign.values())), {}, 0
    for part, index in foreign.items():
        strange = data.ood_val.subset(index).numbered(data.classes)
        # Rounded so that the parts add up to the count.
        mine = round(count * (so_far + len(index)) / total) - round(count * so_far / total)
        partly[part] = tuple(join_pairs(held, strange, mine, [seed, part]))
        so_far += len(index)
    return Hand(fold, val, tuple(mixed), foreign, partly)


def joined_texts(passages: int) -> int:
    """How many texts of each kind are joined of so many val passages, over all fits."""
    return min(MOST_JOINED, max(_LEAST_JOINED, passages))


def _read(hands: Sequence[Hand], read: ReadTexts) -> list[Hand]:
    """All joined texts at once: one call of the reader."""
    texts = [mixture.text for hand in hands for mixture in hand.joined]
    states = iter(read(texts))

    def with_states(mixtures: Sequence[Mixture]) -> tuple[Mixture, ...]:
        return tuple(replace(mixture, states=next(states)) for mixture in mixtures)

    return [
        replace(
            hand,
            mixed=with_states(hand.mixed),
            partly={part: with_states(mixtures) for part, mixtures in hand.partly.items()},
        )
        for hand in hands
    ]
