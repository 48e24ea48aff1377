"""Records that several rooms exchange. Scores state their sign and range here, once."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
AnyArray = npt.NDArray[Any]

SplitName = Literal["train", "val", "test", "ood_val", "ood_test", "background"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test", "ood_val", "ood_test", "background")
REGISTERED_SPLITS: tuple[SplitName, ...] = ("train", "val", "test")

Decision = Literal["registered", "unregistered", "abstain"]

EvidenceKind = Literal["verbatim", "near-verbatim", "nearest"]
"""verbatim: the words of the span are the passage's; near-verbatim: but for case, spacing,
punctuation or some changed words; nearest: no span, only likeness."""

Basis = Literal["trained_on", "resemblance"]
"""What a share rests on. `trained_on`: an audit found that the LM was trained on the sub-dataset.
`resemblance`: no audit found that; the text is like the sub-dataset, and that is all. Neither says
that the text was caused by it."""

Group = tuple[str, str]
"""A split group: its sub-dataset, and its name there. Two sub-datasets may use the same name."""

NOT_ASKED = "not asked for"
"""Why a verdict has no evidence where nobody asked for it."""


def name_of(value: Any) -> str | None:
    """An `id` or `document` as a row gives it: numbers become strings, blank ones None.

    Half of a surrogate pair, which no UTF-8 file can hold, becomes `?`.
    """
    text = "" if value is None else str(value).encode("utf-8", "replace").decode()
    return text if text.strip() else None


@dataclass(frozen=True)
class Passage:
    """One unit of text with its rights.

    `split_group` is the book, file or document it comes from: splits never cut through one. Groups
    are compared and counted by `group`.
    For `ood_*` and `background` passages `sub_dataset` is the true origin and serves break-downs
    only; the label to predict is "none of the registered ones".
    """

    id: str
    text: str
    sub_dataset: str
    holder: str
    license: str
    title: str
    source_url: str
    split_group: str
    split: SplitName

    @property
    def group(self) -> Group:
        """The identity of its split group."""
        return self.sub_dataset, self.split_group


@dataclass(frozen=True)
class States:
    """What the probe gives for one text.

    Attributes:
        values: [W, F] fused taps per window.
        spans: [W, 2] character offsets of each window in the text, end exclusive.
        tokens: number of tokens read.
    """

    values: FloatArray
    spans: IntArray
    tokens: int

    def block(self, start: int, end: int) -> "States":
        """Windows [start, end) alone; `tokens` is the share that falls to them, rounded down."""
        cut = slice(start, end)
        return States(
            self.values[cut],
            self.spans[cut],
            self.tokens * len(self.values[cut]) // len(self.values),
        )


@dataclass(frozen=True)
class Rights:
    """A sub-dataset's entry in the registry.

    Attributes:
        basis: `trained_on` where an audit found that the LM was trained on it; see Basis.
    """

    sub_dataset: str
    holder: str
    license: str
    basis: Basis = "resemblance"

    def entry(self) -> dict[str, str]:
        """What the corpus itself says: all but the basis, which an audit of an LM gives."""
        return {"sub_dataset": self.sub_dataset, "holder": self.holder, "license": self.license}


@dataclass(frozen=True)
class Share:
    """One sub-dataset's share of a text, with its interval [low, high], all in [0, 1].

    Attributes:
        quoted: in [0, 1]; which part of the share stands word for word, or nearly so, in
            registered passages.
        basis: `trained_on` where an audit found that the LM was trained on the sub-dataset; else
            `resemblance`, which says no more than that the text is like it.
    """

    sub_dataset: str
    holder: str
    license: str
    share: float
    low: float
    high: float
    basis: Basis = "resemblance"
    quoted: float = 0.0


@dataclass(frozen=True)
class TimelineItem:
    """Shares of one stretch of the text; character offsets, end exclusive.

    Attributes:
        unregistered: in [0, 1]; with the shares it sums to 1.
    """

    start: int
    end: int
    shares: dict[str, float]
    unregistered: float = 0.0


@dataclass(frozen=True)
class ModelIdentity:
    """Which scorer made a verdict.

    Attributes:
        probe: the LM's hub id, or the name of its folder without the path; None where the scorer
            reads no LM.
        probe_revision: of the hub; else the first 12 digits of the weights' hash; None without an
            LM.
    """

    name: str
    version: str
    probe: str | None
    probe_revision: str | None


@dataclass(frozen=True)
class Verdict:
    """The answer for one text.

    Attributes:
        id, document: the input row's own, by which a statement counts documents; None without one.
        decision: `unregistered` when p_value < alpha and `unregistered` is at least 1/2;
            `abstain` when it is that large without such a p-value, or when no share is large
            enough to name a sub-dataset; otherwise `registered`.
        abstain_reason: why, in words; None where the decision is another one.
        p_value: in (0, 1]; small = the text does not look registered.
        ood_score: nats, >= 0; larger = less likely to draw on anything registered.
        shares: sorted, largest first; with `unregistered` they sum to 1.
        unregistered: in [0, 1]; the share that no registered sub-dataset accounts for.
        truncated: always False for texts: long ones are scored in overlapping chunks.
        evidence: None where it was not looked for; empty where the index holds nothing of the text.
        evidence_reason: why `evidence` is None; None where it was looked for.
    """

    id: str | None = field(default=None, kw_only=True)
    document: str | None = field(default=None, kw_only=True)
    text_sha256: str
    decision: Decision
    p_value: float
    ood_score: float
    shares: tuple[Share, ...]
    unregistered: float
    timeline: tuple[TimelineItem, ...]
    model: ModelIdentity
    tokens: int
    truncated: bool = False
    abstain_reason: str | None = None
    evidence: tuple[dict[str, Any], ...] | None = None
    evidence_reason: str | None = NOT_ASKED

    def named(self, id: Any, document: Any) -> Self:
        """The same verdict with the `id` and `document` of its row; see `name_of`."""
        return replace(self, id=name_of(id), document=name_of(document))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values, keys as in the contract.

        Not by `asdict`, whose copies of each number take longer than some verdicts do.
        """
        evidence = self.evidence
        return {
            **vars(self),
            "shares": tuple(dict(vars(item)) for item in self.shares),
            "timeline": tuple(
                {**vars(item), "shares": dict(item.shares)} for item in self.timeline
            ),
            "model": dict(vars(self.model)),
            "evidence": None if evidence is None else tuple(map(dict, evidence)),
        }
