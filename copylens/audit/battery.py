"""All membership tests on all sub-datasets: scores of passages -> p-values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from copylens.audit.inference import direction, spread_of
from copylens.audit.passages import AuditPassage
from copylens.audit.permutation import Units, make_units, of_both_kinds, standard_errors
from copylens.audit.reading import Reading
from copylens.audit.reference import ORDERS, ngram_scores
from copylens.audit.scores import loss, min_k, min_k_plus_plus, surprises, zlib_ratio
from copylens.audit.token_scores import TokenScores
from copylens.config.audit import AuditConfig
from copylens.records import BoolArray, FloatArray

PUBLISHED_TESTS = ("loss", "zlib", "min_k", "min_k_plus_plus", "reference")
LEARNED = "dataset_inference"
FEWEST_TOKENS = 8
_SHARES = (0.05, 0.1, 0.4, 0.7, 1.0)
_COVARIATES = 2 + 2 * len(ORDERS)
"""The last columns of the features: length, the LM's expectation, and the n-gram scores."""


@dataclass(frozen=True)
class PassageScores:
    """Membership scores of a sub-dataset's passages; short ones (`FEWEST_TOKENS`) are out.

    Attributes:
        groups, member: [N].
        published: [N, 5] the scores of `PUBLISHED_TESTS`.
        features: [N, F] of dataset inference: the same, and more.
        increases: [N] see `Reading`.
    """

    groups: tuple[str, ...]
    member: BoolArray
    published: FloatArray
    features: FloatArray
    increases: FloatArray

    @property
    def units(self) -> Units:
        """The units that are exchangeable under the null hypothesis."""
        return make_units(self.groups, self.member)


def score_all(
    items: Mapping[str, Sequence[AuditPassage]],
    readings: Mapping[str, Reading],
    config: AuditConfig,
    seed: int,
) -> dict[str, PassageScores]:
    """Scores of every sub-dataset's passages."""
    names = list(readings)
    kept = {
        name: [n for n, t in enumerate(readings[name].tokens) if len(t) >= FEWEST_TOKENS]
        for name in names
    }
    chosen = {name: [items[name][n] for n in kept[name]] for name in names}
    grams = _ngrams(chosen, {n: [readings[n].tokens[i] for i in kept[n]] for n in names}, seed)
    result = {}
    for name in names:
        reading, rows = readings[name], kept[name]
        tokens = [reading.tokens[n] for n in rows]
        texts = [item.text for item in chosen[name]]
        references = reading.references[rows]
        expected = grams[name][:, -1] if np.isnan(references).all() else references
        published = _published(tokens, texts, expected, config.min_k)
        result[name] = PassageScores(
            groups=tuple(item.group for item in chosen[name]),
            member=np.array([item.kind == "member" for item in chosen[name]], bool),
            published=published,
            features=np.hstack([published, _more(tokens), grams[name]]),
            increases=reading.increases[rows],
        )
    return result


def direction_from(others: Mapping[str, PassageScores]) -> tuple[FloatArray | None, int]:
    """Weights of dataset inference learned on these sub-datasets, and the number of those used.

    (None, 0) where none of them has both members and non-members.
    """
    known = [(item.features, item.units) for item in others.values()]
    return direction(known), sum(len(units.member) > 0 for _, units in known)


def learned_scores(
    scored: PassageScores, weights: FloatArray | None, seed: int
) -> tuple[Units, FloatArray]:
    """One learned score [N, 1], larger for members, and the units that it is valid to test on.

    Args:
        weights: from other sub-datasets. None = they are learned on one half of the units, and
            only the other half is returned for testing.
    """
    units = scored.units
    if weights is None:
        half, units = units.halves(seed)
        weights = direction([(scored.features, half)])
    if weights is None or not len(units.member):
        return units, np.zeros((len(scored.member), 1))
    scale = spread_of(scored.features, scored.units)
    return units, (scored.features / scale @ weights)[:, None]


def gap(scored: PassageScores) -> tuple[float, float]:
    """Mean difference of members and non-members, nats per token, and its standard error.

    Of the log-probability less its regression on n-gram scores and the LM's entropy: least squares
    over all passages; membership labels are not used.
    """
    units, adjusted = scored.units, scored.published[:, :1]
    covariates, target = scored.features[:, -_COVARIATES:], units.means(adjusted)
    if len(target) > 3 * _COVARIATES:
        slopes = np.linalg.lstsq(units.means(covariates), target, rcond=None)[0]
        adjusted = adjusted - covariates @ slopes
    difference, error = standard_errors(units, adjusted)
    return float(difference[0]), float(error[0])


def _published(
    tokens: Sequence[TokenScores], texts: Sequence[str], expected: FloatArray, share: float
) -> FloatArray:
    rows = [
        (
            loss(item),
            zlib_ratio(item, text),
            min_k(item, share),
            min_k_plus_plus(item, share),
            loss(item) - reference,
        )
        for item, text, reference in zip(tokens, texts, expected)
    ]
    return np.array(rows)


def _more(tokens: Sequence[TokenScores]) -> FloatArray:
    """[N, F'] the published scores at other settings, then the LM's expectation, and the length."""
    rows = [
        [
            *(min_k(item, share) for share in _SHARES[:-1]),
            *(min_k_plus_plus(item, share) for share in _SHARES),
            float(item.deviations.mean()),
            float((surprises(item) > 0).mean()),
            float(np.log(len(item))),
            float(item.means.mean()),
        ]
        for item in tokens
    ]
    return np.array(rows)


def _ngrams(
    items: Mapping[str, Sequence[AuditPassage]],
    tokens: Mapping[str, Sequence[TokenScores]],
    seed: int,
) -> dict[str, FloatArray]:
    """Sub-dataset -> n-gram scores of its passages, each by counts without its own unit."""
    documents = [item.ids for found in tokens.values() for item in found]
    labels = np.repeat(np.arange(len(tokens)), [len(found) for found in tokens.values()])
    units = [f"{name}/{unit}" for name, found in items.items() for unit in _left_out(found)]
    scores = ngram_scores(documents, labels, units, seed)
    ends = np.cumsum([len(found) for found in tokens.values()])
    return dict(zip(tokens, np.split(scores, ends[:-1])))


def _left_out(items: Sequence[AuditPassage]) -> list[str]:
    """The unit left out with each passage: itself if its group has both kinds, or its group."""
    both = of_both_kinds([i.group for i in items], [i.kind == "member" for i in items])
    return [f"{i.group}/{n}" if i.group in both else i.group for n, i in enumerate(items)]
