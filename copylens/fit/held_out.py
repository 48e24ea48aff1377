"""Channel scores of val passages whose split group the fit has not seen: calibration data."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from copylens.attributor.attributor import Channels, ChannelScores
from copylens.attributor.lexical.fit import fit_lexical
from copylens.attributor.mixtures import Mixture, Texts, beginnings, true_shares
from copylens.config.schema import RunConfig
from copylens.fit.cross_fit import CrossFit
from copylens.fit.data import TrainingData
from copylens.fit.dealing import MOST_JOINED, Hand, ReadTexts, deal
from copylens.fit.networks import FitState
from copylens.records import FloatArray, IntArray

CUTS = (1, 2, 4, 8)
"""Windows of the beginnings that stand for short texts."""

# A level of length must be shorter than the next one by this factor.
_SHORTER = 0.8


@dataclass(frozen=True)
class Sample:
    """Held-out texts of one kind.

    Attributes:
        scores: by fits that have not seen their split groups.
        truth: [N, K + 1] true shares, the last one of "unregistered"; rows sum to 1.
        groups: [N] numbers >= 0 of what belongs together.
    """

    scores: ChannelScores
    truth: FloatArray
    groups: IntArray

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def tokens(self) -> float:
        """The length of the texts: the median."""
        return float(np.median(self.scores.tokens))

    @property
    def labels(self) -> IntArray:
        """[N] the largest part of each text; K = unregistered."""
        return np.asarray(self.truth.argmax(axis=1))


@dataclass(frozen=True)
class HeldOut:
    """Channel scores of texts whose split group the judging fits have not seen.

    Attributes:
        pure: val passages.
        mixed: passages joined of several registered ones, and `mixtures`, what they are.
        partly: a registered and an unregistered passage joined; None without unregistered ones.
        foreign: unregistered passages; None without any.
        cuts: windows -> the first so many windows of the pure and of the foreign passages.
    """

    pure: Sample
    mixed: Sample
    mixtures: list[Mixture]
    partly: Sample | None
    foreign: Sample | None
    cuts: dict[int, tuple[Sample, Sample | None]]

    @property
    def kinds(self) -> tuple[Sample, ...]:
        """The four kinds of whole texts, or the two that there are without unregistered ones."""
        all_kinds = (self.pure, self.mixed, self.partly, self.foreign)
        return tuple(sample for sample in all_kinds if sample is not None)

    @property
    def short(self) -> list[tuple[Sample, Sample | None]]:
        """The cuts that get a level of length of their own, the shortest first: passages may be as
        short as a cut.
        """
        found: list[tuple[Sample, Sample | None]] = []
        longer = self.pure.tokens
        for cut in reversed(self.cuts.values()):
            if is_shorter(cut[0].tokens, longer):
                found.insert(0, cut)
                longer = cut[0].tokens
        return found


def is_shorter(tokens: float, than: float) -> bool:
    """Whether texts of one length need a level beside those of another."""
    return tokens < _SHORTER * than


def fit_channels(
    config: RunConfig,
    data: TrainingData,
    state: FitState,
    fold: int | None = None,
    whole: Channels | None = None,
) -> Channels:
    """The channels that are on: the reader of states as it was fitted, the lexical one fitted here.

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
    return Channels(state.reader(fold), lexical, config.probe.window, state.exposure(fold))


def judging_channels(
    config: RunConfig,
    data: TrainingData,
    state: FitState,
    whole: Channels,
    hands: Sequence[Hand],
) -> Iterator[Channels]:
    """The channels that judge each hand, one fit after the other.

    Args:
        state: holds a network for every fold.
        whole: the channels fitted on all of train.
    """
    cross_fit = CrossFit.plan(config, data.train, data.val)
    for fold in (hand.fold for hand in hands):
        if fold is None:
            yield whole
        else:
            part = data.with_train(cross_fit.kept(fold))
            yield fit_channels(config, part, state, fold, whole)


def held_out_scores(
    config: RunConfig,
    data: TrainingData,
    state: FitState,
    whole: Channels,
    read: ReadTexts | None = None,
) -> HeldOut:
    """Scores of held-out texts of every kind by fits that have not seen their groups.

    Args:
        state, whole: see `judging_channels`.
        read: see `deal`.
    """
    hands = deal(config, data, read)
    fits = judging_channels(config, data, state, whole, hands)
    parts = [_Judged(data, hand, channels, state).held_out() for hand, channels in zip(hands, fits)]
    cuts = {}
    for windows in CUTS:
        pure = _required(_joined([part.cuts[windows][0] for part in parts]))
        cuts[windows] = pure, _joined([part.cuts[windows][1] for part in parts])
    return HeldOut(
        pure=_required(_joined([part.pure for part in parts])),
        mixed=_required(_joined([part.mixed for part in parts])),
        mixtures=[mixture for part in parts for mixture in part.mixtures],
        partly=_joined([part.partly for part in parts]),
        foreign=_joined([part.foreign for part in parts]),
        cuts=cuts,
    )


@dataclass(frozen=True)
class _Judged:
    """What one fit says of its hand."""

    data: TrainingData
    hand: Hand
    channels: Channels
    state: FitState

    def held_out(self) -> HeldOut:
        """Its texts of every kind."""
        K = self.data.classes
        pure = self.data.val.subset(self.hand.val).numbered(K)
        groups = self.data.val.group_index[self.hand.val]
        # Each mixture is a group of its own; the numbers must differ between fits.
        first = 0 if self.hand.fold is None else MOST_JOINED * (1 + self.hand.fold)
        partly: list[Sample | None] = []
        for part, mixtures in self.hand.partly.items():
            partly.append(self._mixtures(mixtures, first, part))
            first += len(mixtures)
        return HeldOut(
            pure=self._passages(pure, groups),
            mixed=_required(self._mixtures(self.hand.mixed, first)),
            mixtures=list(self.hand.mixed),
            partly=_joined(partly, one_fit=True),
            foreign=self._foreign(),
            cuts={
                windows: (self._passages(beginnings(pure, windows), groups), self._foreign(windows))
                for windows in CUTS
            },
        )

    def _without(self, part: int | None) -> Channels:
        """The channels, but for what was learned from a part of the unregistered passages."""
        if part is None:
            return self.channels
        return replace(self.channels, exposure=self.state.exposure(self.hand.fold, part))

    def _passages(self, given: Texts, groups: IntArray) -> Sample:
        scores = self.channels.scores(given.texts, given.states)
        return Sample(scores, np.eye(self.data.classes + 1)[given.labels], groups)

    def _foreign(self, windows: int | None = None) -> Sample | None:
        """The unregistered passages, or so many windows of each, once for every part that holds
        them: only the exposure differs.
        """
        if not self.hand.foreign:
            return None
        every = np.unique(np.concatenate(list(self.hand.foreign.values())))
        given = self.data.ood_val.subset(every).numbered(self.data.classes)
        given = given if windows is None else beginnings(given, windows)
        groups = self.data.ood_val.group_index[every]
        truth = np.eye(self.data.classes + 1)[given.labels]
        unexposed = replace(self.channels, exposure=None).scores(given.texts, given.states)
        samples = []
        for part, index in self.hand.foreign.items():
            places = np.searchsorted(every, index)
            states = [given.states[int(place)] for place in places]
            scores = self._without(part).exposed(unexposed.subset(places), states)
            samples.append(Sample(scores, truth[places], groups[places]))
        return _joined(samples, one_fit=True)

    def _mixtures(
        self, mixtures: Sequence[Mixture], first: int, part: int | None = None
    ) -> Sample | None:
        if not mixtures:
            return None
        scores = self._without(part).scores(
            [mixture.text for mixture in mixtures], [mixture.states for mixture in mixtures]
        )
        truth = np.stack([true_shares(mixture, self.data.classes + 1) for mixture in mixtures])
        return Sample(scores, truth, first + np.arange(len(mixtures)))


def _required(sample: Sample | None) -> Sample:
    assert sample is not None
    return sample


def _joined(samples: Sequence[Sample | None], one_fit: bool = False) -> Sample | None:
    """Samples as one; features of different networks do not mix: left out unless of `one_fit`."""
    found = [sample for sample in samples if sample is not None]
    if len(found) < 2:
        return found[0] if found else None
    return Sample(
        concatenate([sample.scores for sample in found], one_fit),
        np.concatenate([sample.truth for sample in found]),
        np.concatenate([sample.groups for sample in found]),
    )


def concatenate(parts: Sequence[ChannelScores], features: bool) -> ChannelScores:
    """Scores of several sets as one, with their features or with none."""
    first = parts[0]
    return ChannelScores(
        text={name: np.concatenate([p.text[name] for p in parts]) for name in first.text},
        segments={n: tuple(i for p in parts for i in p.segments[n]) for n in first.segments},
        spans=tuple(item for p in parts for item in p.spans),
        affinity={n: np.concatenate([p.affinity[n] for p in parts]) for n in first.affinity},
        segment_affinity={
            n: tuple(i for p in parts for i in p.segment_affinity[n])
            for n in first.segment_affinity
        },
        tokens=np.concatenate([p.tokens for p in parts]),
        features=np.concatenate([p.features[:, : None if features else 0] for p in parts]),
    )
