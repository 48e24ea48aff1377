"""Channel scores of val passages whose split group the fit has not seen: calibration data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from copylens.attributor.attributor import Channels, ChannelScores
from copylens.attributor.lexical.fit import fit_lexical
from copylens.attributor.mixtures import Mixture, make_mixtures, true_shares
from copylens.config.schema import RunConfig
from copylens.fit.cross_fit import CrossFit
from copylens.fit.data import TextSet, TrainingData
from copylens.fit.networks import FitState
from copylens.records import FloatArray, IntArray

# Over all folds: enough for a handful of settings.
_MIXTURES = 400


@dataclass(frozen=True)
class HeldOut:
    """Channel scores of passages whose split group the judging fits have not seen.

    Attributes:
        labels, groups: [N] of the passages.
        pure: their scores.
        mixtures: joined passages of one fold, and `mixed`, their scores.
    """

    labels: IntArray
    groups: IntArray
    pure: ChannelScores
    mixtures: list[Mixture]
    mixed: ChannelScores

    def pure_truth(self, classes: int) -> FloatArray:
        """[N, K] true shares of the passages: one-hot."""
        return np.asarray(np.eye(classes)[self.labels])

    def mixed_truth(self, classes: int) -> FloatArray:
        """[M, K] true shares of the mixtures."""
        return np.stack([true_shares(mixture, classes) for mixture in self.mixtures])


def fit_channels(
    config: RunConfig,
    data: TrainingData,
    state: FitState,
    fold: int | None = None,
    whole: Channels | None = None,
) -> Channels:
    """The channels that are on: the network as it was fitted, the lexical one fitted here.

    Args:
        data: its train without the fold.
        state: holds the networks.
        fold: which fold of train the network was fitted without.
        whole: the channels of all of train, whose gate a fold's take over: with few split groups
            left, a fold cannot learn what an unseen work looks like.
    """
    lexical = None
    if config.channels.lexical:
        train = data.train
        lexical = fit_lexical(
            train.texts,
            train.labels,
            train.group_index,
            data.classes,
            config.seed,
            background=data.background,
            gate=whole.lexical.gate if whole and whole.lexical else None,
        )
    return Channels(state.network(fold), lexical, config.probe.window)


@dataclass(frozen=True)
class Judge:
    """A fit and the val passages that it may judge.

    Attributes:
        fold: the fold that it was fitted without; None: fitted on all of train.
        val: positions in val.
    """

    fold: int | None
    channels: Channels
    val: IntArray


def judges(
    config: RunConfig, data: TrainingData, state: FitState, whole: Channels
) -> Iterator[Judge]:
    """One fit after the other; together they judge every val passage once.

    Args:
        state: holds a network for every fold.
        whole: the channels fitted on all of train.
    """
    cross_fit = CrossFit.plan(config, data.train, data.val)
    for fold in cross_fit.fits:
        val = cross_fit.judged(fold)
        if not len(val):
            continue
        channels = whole
        if fold is not None:
            part = data.with_train(cross_fit.kept(fold))
            channels = fit_channels(config, part, state, fold, whole)
        yield Judge(fold, channels, val)


def held_out_scores(
    config: RunConfig, data: TrainingData, state: FitState, whole: Channels
) -> HeldOut:
    """Scores of val passages and of their mixtures by fits that have not seen their groups.

    Args:
        state, whole: see `judges`.
    """
    pure, mixed, mixtures, order = [], [], [], []
    for judge in judges(config, data, state, whole):
        held = data.val.subset(judge.val)
        joined = _mixtures(config, held, len(data.val), judge.fold)
        pure.append(judge.channels.scores(held.texts, held.states))
        mixed.append(judge.channels.scores([m.text for m in joined], [m.states for m in joined]))
        mixtures += joined
        order.append(judge.val)
    places = np.concatenate(order)
    return HeldOut(
        labels=data.val.labels[places],
        groups=data.val.group_index[places],
        pure=concatenate(pure),
        mixtures=mixtures,
        mixed=concatenate(mixed),
    )


def _mixtures(config: RunConfig, held: TextSet, total: int, fold: int | None) -> list[Mixture]:
    """A fold's part of all mixtures, joined of its own val passages."""
    return make_mixtures(
        held.texts,
        held.states,
        held.labels,
        max(1, round(_MIXTURES * len(held) / total)),
        config.attributor.mixture_parts,
        config.seed + (0 if fold is None else 1 + fold),
    )


def concatenate(parts: Sequence[ChannelScores]) -> ChannelScores:
    """Scores of several sets as one; features of different networks do not mix: left out."""
    if len(parts) == 1:
        return parts[0]
    count = sum(len(part.spans) for part in parts)
    return ChannelScores(
        text={name: np.concatenate([p.text[name] for p in parts]) for name in parts[0].text},
        segments={
            name: tuple(item for p in parts for item in p.segments[name])
            for name in parts[0].segments
        },
        spans=tuple(item for p in parts for item in p.spans),
        affinity={
            name: np.concatenate([p.affinity[name] for p in parts]) for name in parts[0].affinity
        },
        loss=np.concatenate([p.loss for p in parts]),
        features=np.zeros((count, 0)),
    )
