"""Self-Comparison: a passage against itself in another wording (Ren et al. 2024, arXiv 2410.13088).

The first half of a passage is kept, the second half is paraphrased. An LM that was trained on the
passage loses more likelihood by that than one that was not, since it predicted the second half from
the first. No non-members of the same sub-dataset are needed.

But every paraphrase costs some likelihood, and the cost differs between kinds of text: some have
more words that can be changed, which is why the cost is counted per changed word. It is compared
with that of non-members of *other* sub-datasets. The unit is the sub-dataset: the spread between
sub-datasets is part of the error.

Deviation from the source, which compares how fast p-values fall with the number of texts: one
t-test whose error counts how unlike sub-datasets are; and the cost per changed word, not per token.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from copylens.audit.token_scores import TokenScores
from copylens.records import FloatArray
from copylens.text import SENTENCE_END

FEWEST_OTHERS = 4
"""Fewest sub-datasets with non-members; with fewer their spread cannot be estimated."""


@dataclass(frozen=True)
class SelfComparison:
    """Nats per changed word by which a paraphrase makes members less likely.

    Attributes:
        increase: of the members, mean over split groups.
        expected: of non-members, mean over their sub-datasets.
        p_value: one-sided; small = more than the spread between sub-datasets explains.
        others: how many sub-datasets it was compared with.
    """

    increase: float
    expected: float
    p_value: float
    others: int


def second_half(text: str) -> int:
    """Where the second half begins: the end of a sentence, or of a word, nearest to the middle."""
    middle = len(text) // 2
    ends = [match.end() for match in SENTENCE_END.finditer(text) if match.end() < len(text)]
    ends = ends or [match.end() for match in re.finditer(r"\s+", text) if match.end() < len(text)]
    return min(ends, key=lambda end: abs(end - middle), default=middle)


def increase(before: TokenScores, after: TokenScores, start: int, changed: int) -> float:
    """Cost of a paraphrase from character `start` on, nats per changed word; NaN without tokens.

    The two wordings differ in length, so it is the difference of the means per token, times the
    tokens that the passage itself has there.
    """
    mean = []
    for tokens in (before, after):
        there = tokens.offsets[:, 0] >= start
        mean.append(tokens.log_probs[there].mean() if there.any() else np.nan)
    count = int((before.offsets[:, 0] >= start).sum())
    return float((mean[0] - mean[1]) * count / max(1, changed))


def changed_words(one: str, other: str) -> int:
    """Number of words that only one of the two texts has: the larger of the two counts."""
    had, has = Counter(one.split()), Counter(other.split())
    return max((had - has).total(), (has - had).total())


def compare(
    increases: FloatArray,
    groups: Sequence[str],
    others: Mapping[str, tuple[FloatArray, Sequence[str]]],
) -> SelfComparison | None:
    """One sub-dataset's members against the non-members of other sub-datasets.

    Args:
        increases: [N] as `increase` gives them; NaN where there is no paraphrase.
        groups: [N] split groups.
        others: sub-dataset -> its increases and split groups.

    Returns:
        None where there are too few to compare with, or no member has a paraphrase.
    """
    mine = _group_means(increases, groups)
    means = [found.mean() for item in others.values() if len(found := _group_means(*item))]
    if len(mine) == 0 or len(means) < FEWEST_OTHERS:
        return None
    J = len(means)
    # Prediction error of one more sub-dataset; their spread includes each one's sampling error.
    own = mine.var(ddof=1) / len(mine) if len(mine) > 1 else 0.0
    error = np.sqrt(np.var(means, ddof=1) * (1 + 1 / J) + own)
    difference = float(mine.mean() - np.mean(means))
    p_value = float(stats.t.sf(difference / error, J - 1)) if error > 0 else float(difference <= 0)
    return SelfComparison(float(mine.mean()), float(np.mean(means)), p_value, J)


def _group_means(values: FloatArray, groups: Sequence[str]) -> FloatArray:
    found: dict[str, list[float]] = {}
    for value, group in zip(values, groups):
        if not np.isnan(value):
            found.setdefault(group, []).append(float(value))
    return np.array([np.mean(values) for values in found.values()])
