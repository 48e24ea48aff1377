"""What channels say of passages they have not seen: the ground that everything is calibrated on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.config import RunConfig
from copylens.model.attributor import Channels, Evidence
from copylens.model.folds import fold_index
from copylens.model.lexical import fit_lexical
from copylens.model.mixtures import Mixture, make_mixtures
from copylens.model.network import AttributorNetwork
from copylens.records import IntArray, States

# Mixtures, and as many pure passages, over all parts: enough for a handful of settings.
_SAMPLE = 400


@dataclass(frozen=True)
class TextSet:
    """Passages with their states; labels are -1 for unregistered ones."""

    texts: tuple[str, ...]
    states: tuple[States, ...]
    labels: IntArray
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def group_index(self) -> IntArray:
        """[N] the split groups as numbers, by first appearance."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(g, len(numbers)) for g in self.groups], np.int64)

    def subset(self, index: IntArray) -> "TextSet":
        """The passages at these positions."""
        return TextSet(
            tuple(self.texts[int(i)] for i in index),
            tuple(self.states[int(i)] for i in index),
            self.labels[index],
            tuple(self.groups[int(i)] for i in index),
        )


@dataclass(frozen=True)
class HeldOut:
    """Out-of-fold evidence; one order for `passages` and `whole`.

    Attributes:
        passages: all training passages, part by part.
        whole: text-level evidence of each of them, without segments.
        pure: evidence of a sample of them, with segments; `pure_labels` [n] are their labels.
        mixtures: joined held-out passages, and `mixed`, their evidence.
    """

    passages: TextSet
    whole: Evidence
    pure_labels: IntArray
    pure: Evidence
    mixtures: list[Mixture]
    mixed: Evidence


def fit_channels(
    config: RunConfig, classes: int, networks: dict[str, AttributorNetwork], train: TextSet
) -> Channels:
    """Networks as they are, and the lexical channel fitted on the texts."""
    lexical = None
    if config.channels.lexical:
        lexical = fit_lexical(train.texts, train.labels, train.group_index, classes, config.seed)
    return Channels(networks, lexical, config.probe.window)


def out_of_fold_evidence(
    config: RunConfig,
    classes: int,
    fold_networks: Sequence[dict[str, AttributorNetwork]],
    train: TextSet,
) -> HeldOut:
    """What channels fitted without a part say of that part and of mixtures within it."""
    fold = fold_index(train.labels, train.group_index, config.attributor.folds, config.seed)
    order = np.argsort(fold, kind="stable")
    parts = []
    for part, networks in enumerate(fold_networks):
        inside, outside = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        channels = fit_channels(config, classes, networks, train.subset(outside))
        seed = config.seed + part
        count = _SAMPLE // len(fold_networks)
        parts.append(_part(config, channels, train.subset(inside), count, seed))
    return HeldOut(
        passages=train.subset(order),
        whole=concatenate([part.whole for part in parts]),
        pure_labels=np.concatenate([part.pure_labels for part in parts]),
        pure=concatenate([part.pure for part in parts]),
        mixtures=[mixture for part in parts for mixture in part.mixtures],
        mixed=concatenate([part.mixed for part in parts]),
    )


def _part(config: RunConfig, channels: Channels, held: TextSet, count: int, seed: int) -> HeldOut:
    mixtures = make_mixtures(
        held.texts, held.states, held.labels, count, config.attributor.mixture_parts, seed
    )
    chosen = np.random.default_rng([seed, 3]).permutation(len(held))[:count]
    sample = held.subset(chosen)
    return HeldOut(
        passages=held,
        whole=channels.whole(held.texts, held.states),
        pure_labels=sample.labels,
        pure=channels.evidence(sample.texts, sample.states),
        mixtures=mixtures,
        mixed=channels.evidence([m.text for m in mixtures], [m.states for m in mixtures]),
    )


def concatenate(parts: Sequence[Evidence]) -> Evidence:
    """Evidence of several sets as one; features of different models do not mix: left out."""
    count = sum(len(part.spans) for part in parts)
    return Evidence(
        text={name: np.concatenate([p.text[name] for p in parts]) for name in parts[0].text},
        segments={
            name: tuple(item for p in parts for item in p.segments[name])
            for name in parts[0].segments
        },
        spans=tuple(item for p in parts for item in p.spans),
        support=np.concatenate([p.support for p in parts]),
        surprise=np.concatenate([p.surprise for p in parts]),
        features=np.zeros((count, 0)),
    )
