"""Verdicts measured as they are published, over texts whose true shares are known.

Verbatim evidence is left out: the index holds the very passages that the texts are made of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from copylens.attributor.mixtures import (
    Mixture,
    join_pairs,
    make_mixtures,
    true_shares,
)
from copylens.config.schema import RunConfig
from copylens.evaluation import metrics
from copylens.evaluation.answers import Evaluation
from copylens.records import FloatArray, IntArray
from copylens.states.words import word_states
from copylens.verdict.published import Published, decide
from copylens.verdict.scorer import Scorer, Scores

KINDS = ("pure", "mixed", "partly", "unregistered")
WORDS = (10, 20, 50, 100, 200)
"""Lengths of the short texts."""

# Joined texts of each kind: as many as test passages, but no fewer and no more than these.
_LEAST_JOINED, _MOST_JOINED = 50, 200
# Short texts of each length and side.
_SHORT = 200


@dataclass(frozen=True)
class Judged:
    """Texts of one kind with the scorer's answers.

    Attributes:
        truth: [N, K + 1] true shares, last of "unregistered".
        published: N texts' numbers.
        decisions: [N].
        mixtures: what joined texts are made of; empty for passages.
    """

    truth: FloatArray
    scores: Scores
    published: list[Published]
    decisions: np.ndarray[Any, np.dtype[np.str_]]
    mixtures: Sequence[Mixture] = ()

    @property
    def unregistered(self) -> FloatArray:
        """[N] as published."""
        return np.array([found.unregistered for found in self.published])

    def table(self, name: str) -> FloatArray:
        """One number of every share, [N, K]."""
        return np.stack([getattr(found, name) for found in self.published])


def judge_kinds(evaluation: Evaluation, config: RunConfig) -> dict[str, Judged]:
    """Test texts of every kind; those with unregistered parts only where there are any.

    Joined texts are read as any text is: by the LM as a whole.
    """
    scorer, K = evaluation.scorer, evaluation.classes
    test, foreign = (evaluation.texts[split].numbered(K) for split in ("test", "ood_test"))
    most, count = config.attributor.mixture_parts, _joined_texts(evaluation)
    mixed = make_mixtures(test.texts, test.states, test.labels, count, most, config.seed)
    found = {
        "pure": judged(scorer, evaluation.scores["test"], np.eye(K + 1)[test.labels]),
        "mixed": _joined(evaluation, mixed),
    }
    if len(foreign.texts):
        found["partly"] = _joined(evaluation, join_pairs(test, foreign, count, [config.seed]))
        answers = evaluation.scores["ood_test"]
        found["unregistered"] = judged(scorer, answers, np.eye(K + 1)[foreign.labels])
    return found


def judged(
    scorer: Scorer, scores: Scores, truth: FloatArray, mixtures: Sequence[Mixture] = ()
) -> Judged:
    """Scored texts with what their verdicts publish."""
    calibration = scorer.config.calibration
    published = [scorer.published(scores, n) for n in range(len(truth))]
    decisions = [
        decide(found, float(p), calibration.alpha, calibration.abstain_below)[0]
        for found, p in zip(published, scores.p_value)
    ]
    return Judged(truth, scores, published, np.array(decisions), mixtures)


def _joined(evaluation: Evaluation, mixtures: list[Mixture]) -> Judged:
    scores = evaluation.score([mixture.text for mixture in mixtures])
    truth = np.stack([true_shares(mixture, evaluation.classes + 1) for mixture in mixtures])
    return judged(evaluation.scorer, scores, truth, mixtures)


def _joined_texts(evaluation: Evaluation) -> int:
    return min(_MOST_JOINED, max(_LEAST_JOINED, len(evaluation.texts["test"])))


def texts_to_read(evaluation: Evaluation) -> int:
    """How many texts `judge_kinds` and `length_section` read."""
    sides = [len(evaluation.texts[split]) for split in ("test", "ood_test")]
    joined = _joined_texts(evaluation) * sum(side > 0 for side in sides)
    return joined + len(WORDS) * sum(min(side, _SHORT) for side in sides)


def shares_section(kinds: Mapping[str, Judged]) -> dict[str, Any]:
    """`shares` of the report: figures over all kinds, each weighing the same, and by kind."""
    by_kind = {name: _kind_figures(found) for name, found in kinds.items()}
    return {
        "coverage": _mean(by_kind, "coverage"),
        "mae": _mean(by_kind, "mae"),
        "ece": unregistered_ece(kinds),
        "by_kind": {name: by_kind.get(name) for name in KINDS},
    }


def _kind_figures(found: Judged) -> dict[str, Any]:
    true = found.truth[:, :-1]
    present = true > 0
    held = (found.table("low") <= true + 1e-9) & (true <= found.table("high") + 1e-9)
    unregistered = found.unregistered
    return {
        "n": len(true),
        "coverage": float(held[present].mean()) if present.any() else None,
        "coverage_of_absent": float(held[~present].mean()),
        "mae": metrics.mean_absolute_share_error(true, found.table("shares")),
        "unregistered": float(unregistered.mean()),
        "unregistered_error": float(np.abs(unregistered - found.truth[:, -1]).mean()),
        **decided(found),
    }


def decided(found: Judged) -> dict[str, float]:
    """How often each decision was taken."""
    return {
        f"called_{name}": float((found.decisions == name).mean())
        for name in ("registered", "unregistered", "abstain")
    }


def _mean(by_kind: Mapping[str, dict[str, Any]], name: str) -> float:
    return float(np.mean([f[name] for f in by_kind.values() if f[name] is not None]))


def unregistered_ece(kinds: Mapping[str, Judged]) -> float | None:
    """Expected calibration error of `unregistered`, registered and unregistered texts weighing the
    same; ten bins of equal width.
    """
    if "unregistered" not in kinds:
        return None
    parts = [kinds["pure"].unregistered, kinds["unregistered"].unregistered]
    told = np.concatenate(parts)
    sizes = [len(part) for part in parts]
    true = np.repeat([0.0, 1.0], sizes)
    weight = np.repeat([0.5 / size for size in sizes], sizes)
    place = np.minimum((told * 10).astype(np.int64), 9)
    gaps = np.bincount(place, weight * (told - true), minlength=10)
    return float(np.abs(gaps).sum())


def length_section(evaluation: Evaluation, seed: int) -> dict[str, Any]:
    """Short texts, cut out of test texts at random: figures by their number of words."""
    generator = np.random.default_rng([seed, 80])
    found = {}
    for words in WORDS:
        sides = {}
        for split in ("test", "ood_test"):
            part = evaluation.texts[split]
            if not len(part):
                continue
            chosen = generator.permutation(len(part))[:_SHORT]
            texts = [_cut(part.texts[i], words, generator) for i in chosen]
            labels = part.numbered(evaluation.classes).labels[chosen]
            truth = np.eye(evaluation.classes + 1)[labels]
            sides[split] = judged(evaluation.scorer, evaluation.score(texts), truth), labels
        found[str(words)] = _length_figures(*sides["test"], sides.get("ood_test"))
    return found


def _length_figures(
    found: Judged, labels: IntArray, foreign: tuple[Judged, IntArray] | None
) -> dict[str, Any]:
    figures = _kind_figures(found)
    kept = ("n", "coverage", "unregistered", "called_unregistered", "called_abstain")
    return {
        "accuracy": metrics.accuracy(labels, found.scores.closed.argmax(axis=1)),
        **{name: figures[name] for name in kept},
        "power": None if foreign is None else decided(foreign[0])["called_unregistered"],
    }


def _cut(text: str, words: int, generator: np.random.Generator) -> str:
    """So many words and marks of a text, from a random place on."""
    spans = word_states([text], 1)[0].spans
    first = int(generator.integers(0, max(1, len(spans) - words + 1)))
    last = min(first + words, len(spans)) - 1
    return text[spans[first, 0] : spans[last, 1]]
