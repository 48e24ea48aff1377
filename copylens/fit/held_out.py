"""What channels say of passages they have not seen: the ground that everything is calibrated on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from copylens.attributor.attention.network import AttributorNetwork
from copylens.attributor.attention.readout_expert import fit_readout_expert
from copylens.attributor.attributor import Channels, Evidence
from copylens.attributor.folds import fold_index
from copylens.attributor.lexical.classifier import fit_lexical
from copylens.attributor.mixtures import Mixture, make_mixtures
from copylens.config.schema import RunConfig
from copylens.records import IntArray, States

# Over all parts: enough for a handful of settings.
_MIXTURES = 400


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
class Parts:
    """Who may judge whom: no val passage is judged by a model that has seen its split group.

    Val passages of groups that train does not hold are judged by the models fitted on all of
    train. Where val shares its groups with train (chapters of the same books), train is cut into
    parts by group, and a passage is judged by models fitted without its part.

    Attributes:
        train: [N] the part of each training passage; -1 throughout where no parts are needed.
        val: [M] the part whose models judge each val passage; -1 = those fitted on all of train.
    """

    train: IntArray
    val: IntArray

    @property
    def count(self) -> int:
        """How many parts train is cut into; 0 where val is all new."""
        return int(self.train.max(initial=-1)) + 1


def split_parts(train: TextSet, val: TextSet, folds: int, seed: int) -> Parts:
    """Cuts train into parts if val shares split groups with it."""
    if not set(val.groups) & set(train.groups):
        return Parts(np.full(len(train), -1), np.full(len(val), -1))
    fold = fold_index(train.labels, train.group_index, folds, seed)
    part_of = dict(zip(train.groups, fold))
    return Parts(fold, np.array([part_of.get(group, -1) for group in val.groups], np.int64))


@dataclass(frozen=True)
class HeldOut:
    """Evidence for passages whose split group the judging models have not seen.

    Attributes:
        labels, groups: of the passages.
        pure: their evidence.
        mixtures: joined passages of one part, and `mixed`, their evidence.
    """

    labels: IntArray
    groups: IntArray
    pure: Evidence
    mixtures: list[Mixture]
    mixed: Evidence


def fit_channels(
    config: RunConfig,
    classes: int,
    networks: dict[str, AttributorNetwork],
    train: TextSet,
    background: Sequence[str] = (),
    calibrated: Channels | None = None,
) -> Channels:
    """Networks as they are; the lexical channel and the read-out expert fitted on the texts.

    Args:
        calibrated: channels of all of train, whose gate and temperature a part of it takes over:
            with few split groups left, a part cannot learn what an unseen work looks like.
    """
    gate = calibrated.lexical.gate if calibrated and calibrated.lexical else None
    temperature = calibrated.readout.temperature if calibrated and calibrated.readout else None
    lexical = None
    if config.channels.lexical:
        lexical = fit_lexical(
            train.texts, train.labels, train.group_index, classes, config.seed, background, gate
        )
    readout = None
    if config.channels.attention and config.probe.readout:
        codes = [item.codes for item in train.states]
        readout = fit_readout_expert(
            codes, train.labels, train.group_index, classes, config.seed, temperature
        )
    share = config.attributor.network_share
    return Channels(networks, lexical, readout, share, config.probe.window)


def judges(
    config: RunConfig,
    classes: int,
    networks: Mapping[int, dict[str, AttributorNetwork]],
    parts: Parts,
    train: TextSet,
    val: TextSet,
    full: Channels,
    background: Sequence[str] = (),
) -> Iterator[tuple[int, Channels, IntArray]]:
    """For each part the channels fitted without it and the val passages they may judge.

    Args:
        networks: part -> networks fitted without it.
        full: the channels fitted on all of train; they judge what is of no part.

    Yields:
        The part, its channels, and positions in val; together they cover val once.
    """
    for part in np.unique(parts.val):
        channels = full
        if part >= 0:
            rest = train.subset(np.flatnonzero(parts.train != part))
            channels = fit_channels(config, classes, networks[int(part)], rest, background, full)
        yield int(part), channels, np.flatnonzero(parts.val == part)


def held_out_evidence(
    config: RunConfig,
    classes: int,
    networks: Mapping[int, dict[str, AttributorNetwork]],
    parts: Parts,
    train: TextSet,
    val: TextSet,
    full: Channels,
    background: Sequence[str] = (),
) -> HeldOut:
    """What models that have not seen their groups say of the val passages and of their mixtures.

    Args:
        networks, full: see `judges`.
    """
    found, order = [], []
    for part, channels, index in judges(
        config, classes, networks, parts, train, val, full, background
    ):
        held = val.subset(index)
        mixtures = make_mixtures(
            held.texts,
            held.states,
            held.labels,
            max(1, round(_MIXTURES * len(held) / len(val))),
            config.attributor.mixture_parts,
            config.seed + part + 1,
        )
        mixed = channels.evidence([m.text for m in mixtures], [m.states for m in mixtures])
        found.append((channels.evidence(held.texts, held.states), mixtures, mixed))
        order.append(index)
    places = np.concatenate(order)
    return HeldOut(
        labels=val.labels[places],
        groups=val.group_index[places],
        pure=concatenate([pure for pure, _, _ in found]),
        mixtures=[mixture for _, mixtures, _ in found for mixture in mixtures],
        mixed=concatenate([mixed for _, _, mixed in found]),
    )


def concatenate(parts: Sequence[Evidence]) -> Evidence:
    """Evidence of several sets as one; features of different models do not mix: left out."""
    if len(parts) == 1:
        return parts[0]
    count = sum(len(part.spans) for part in parts)
    return Evidence(
        text={name: np.concatenate([p.text[name] for p in parts]) for name in parts[0].text},
        segments={
            name: tuple(item for p in parts for item in p.segments[name])
            for name in parts[0].segments
        },
        spans=tuple(item for p in parts for item in p.spans),
        affinity={
            name: np.concatenate([p.affinity[name] for p in parts]) for name in parts[0].affinity
        },
        surprise=np.concatenate([p.surprise for p in parts]),
        features=np.zeros((count, 0)),
    )
