"""Channel scores made by rule: texts whose segments fit one sub-dataset, or none of them."""

from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax

from copylens.attributor.attributor import Attributor, Channels, ChannelScores
from copylens.attributor.fusion import ChannelFusion
from copylens.fit.held_out import HeldOut, Sample

K = 3
NONE = -1
NAMES = ("a", "b", "c")
SEGMENTS, CHARACTERS, TOKENS = 10, 100, 32


def attributor(segment_scale: float = 1.0, mixture_prior: float = 0.3) -> Attributor:
    """Of the lexical channel alone; it cannot read texts, only weigh scores."""
    one = ChannelFusion({"lexical": 1.0})
    return Attributor(NAMES, Channels(None, None, 16), one, one, segment_scale, 0.1, mixture_prior)


def channel_scores(sources: Sequence[Sequence[int]], seed: int, noise: float = 0.15):
    """Scores of texts, given the source of each of their segments.

    A segment fits its own source by 1 and every other one by 0, up to noise; the text as a whole
    fits as its segments do on average.
    """
    generator = np.random.default_rng(seed)
    segments = []
    for text in sources:
        fit = noise * generator.normal(size=(len(text), K)) + 0.05 * generator.normal(size=K)
        for s, source in enumerate(text):
            if source != NONE:
                fit[s, source] += 1
        segments.append(fit)
    whole = np.stack([fit.mean(axis=0) for fit in segments])
    spans = []
    for text in sources:
        starts = CHARACTERS * np.arange(len(text))
        spans.append(np.stack([starts, starts + CHARACTERS], axis=1))
    return ChannelScores(
        text={"lexical": log_softmax(6 * whole, axis=1)},
        segments={"lexical": tuple(log_softmax(6 * fit, axis=1) for fit in segments)},
        spans=tuple(spans),
        affinity={"lexical": whole, "style": whole - 3},
        segment_affinity={
            "lexical": tuple(segments),
            "style": tuple(fit - 3 for fit in segments),
        },
        tokens=np.array([TOKENS * len(text) for text in sources]),
        features=np.zeros((len(sources), 0)),
    )


def sample(sources: Sequence[Sequence[int]], seed: int) -> Sample:
    """The same with true shares; every four texts are a group."""
    truth = np.stack([np.bincount(np.array(t) % (K + 1), minlength=K + 1) for t in sources])
    truth = truth / truth.sum(axis=1, keepdims=True)
    return Sample(channel_scores(sources, seed), truth, np.arange(len(sources)) // 4)


def pure(n: int, segments: int = SEGMENTS) -> list[list[int]]:
    return [[i % K] * segments for i in range(n)]


def joined(n: int, first: Sequence[int] = range(K), second: Sequence[int] = (1, 2, 0)):
    """Texts whose source changes once, at various places."""
    texts = []
    for i in range(n):
        cut = 2 + i % (SEGMENTS - 3)
        own = [first[i % len(first)]] * cut
        texts.append(own + [second[i % len(second)]] * (SEGMENTS - cut))
    return texts


def foreign(n: int, segments: int = SEGMENTS) -> list[list[int]]:
    return [[NONE] * segments for _ in range(n)]


def held_out(unregistered: bool = True, n: int = 120) -> HeldOut:
    """Every kind of held-out text, short ones of two segments among them."""
    strangers = sample(foreign(n), 3) if unregistered else None
    short = sample(foreign(n, 2), 5) if unregistered else None
    return HeldOut(
        pure=sample(pure(n), 0),
        mixed=sample(joined(n), 1),
        mixtures=[],
        partly=sample(joined(n, second=(NONE,)), 2) if unregistered else None,
        foreign=strangers,
        cuts={4: (sample(pure(n, 2), 4), short)},
    )
