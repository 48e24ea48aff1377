"""Extraction: how surely does the LM write on a passage word for word?

(n, p)-discoverable extraction (Hayes et al. 2024, "Measuring memorization through probabilistic
discoverable extraction", arXiv 2410.19482): an LM is given a passage's first `PREFIX` tokens and
draws continuations; its next `SUFFIX` tokens are extractable where one of n continuations is
exactly these with a probability of at least p. Drawing need not be done: with q the product of the
suffix' token probabilities, that is 1 - (1 - q)^n >= p, and the audit has read these already.

Deviation: tokens are drawn from the whole prediction (temperature 1), where the source keeps the 40
likeliest. A suffix whose tokens are all among those is somewhat likelier there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from copylens.audit.passages import AuditPassage
from copylens.audit.token_scores import TokenScores
from copylens.config.audit import AuditConfig

PREFIX, SUFFIX = 50, 50
_WORST = 3
_MOST_SAMPLES = 10**12
"""Beyond it nobody draws: the entry says null."""


@dataclass(frozen=True)
class Suffix:
    """What follows a passage's first tokens, and how likely the LM is to write just that.

    Attributes:
        prefix, text: characters of the passage.
        log_prob: nats, <= 0; of all `SUFFIX` tokens together, each given all that is before it.
    """

    passage: AuditPassage
    prefix: str
    text: str
    log_prob: float

    @property
    def probability(self) -> float:
        """That one continuation begins with the suffix, in [0, 1]."""
        return float(np.exp(self.log_prob))

    def samples(self, p: float) -> float:
        """How many continuations contain it with probability p, >= 1; may be infinite."""
        if self.probability >= p:
            return 1.0
        rarity = -np.log1p(-self.probability)
        return float(np.ceil(-np.log1p(-p) / rarity)) if rarity > 0 else float("inf")

    def extractable(self, config: AuditConfig) -> bool:
        """Whether so few continuations as the settings say contain it surely enough."""
        return self.samples(config.extraction_probability) <= config.extraction_samples


def suffixes(items: Sequence[AuditPassage], tokens: Sequence[TokenScores]) -> list[Suffix]:
    """Of every passage that has `PREFIX` + `SUFFIX` tokens; shorter ones are left out."""
    found = []
    for item, scores in zip(items, tokens):
        if len(scores) < PREFIX + SUFFIX:
            continue
        start, end = int(scores.offsets[PREFIX, 0]), int(scores.offsets[PREFIX + SUFFIX - 1, 1])
        total = float(scores.log_probs[PREFIX : PREFIX + SUFFIX].sum(dtype=np.float64))
        found.append(Suffix(item, item.text[:start], item.text[start:end], total))
    return found


def extraction(
    name: str, items: Sequence[AuditPassage], tokens: Sequence[TokenScores], config: AuditConfig
) -> dict[str, Any]:
    """What the audit says of a sub-dataset: members, and as its yardstick what the LM has not read.

    Returns:
        members, non_members: {"passages", "extractable"}; `worst`: the likeliest suffixes of
        members; `sentence`.
    """
    found = suffixes(items, tokens)
    sides = {}
    for side, kind in (("members", "member"), ("non_members", "non-member")):
        mine = [item for item in found if item.passage.kind == kind]
        extractable = [item for item in mine if item.extractable(config)]
        sides[side] = {"passages": len(mine), "extractable": len(extractable)}
    members = [item for item in found if item.passage.kind == "member"]
    worst = sorted(members, key=lambda item: (-item.log_prob, item.passage.id))[:_WORST]
    return {
        **sides,
        "worst": [_entry(item, config.extraction_probability) for item in worst],
        "sentence": _sentence(name, sides, config),
    }


def _entry(item: Suffix, p: float) -> dict[str, Any]:
    samples = item.samples(p)
    return {
        "id": item.passage.id,
        "prefix": item.prefix,
        "suffix": item.text,
        "log_prob": item.log_prob,
        "samples": int(samples) if samples <= _MOST_SAMPLES else None,
    }


def _sentence(name: str, sides: dict[str, dict[str, int]], config: AuditConfig) -> str:
    read, unread = sides["members"], sides["non_members"]
    if not read["passages"]:
        return (
            f"Extraction from {name}: cannot tell, because no passage has {PREFIX + SUFFIX} tokens."
        )
    tries = f"{config.extraction_samples:,} continuations"
    said = (
        f"Of {read['passages']} passages of {name} {read['extractable']} can be drawn word for "
        f"word: {SUFFIX} tokens after {PREFIX}, in {tries} with probability "
        f"{config.extraction_probability:g}"
    )
    if unread["passages"]:
        said += f"; of {unread['passages']} that the LM has not read {unread['extractable']}"
    return said + "."
