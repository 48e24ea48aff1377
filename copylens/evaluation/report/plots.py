"""What report.html draws as inline SVG; `plots.svg.jinja` has the shapes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from copylens.evaluation.metrics import ReliabilityBins
from copylens.records import TimelineItem
from copylens.templates import page_template

Points = npt.NDArray[np.floating[Any]]

COLOURS = 8
"""The page defines so many line colours, --c0 ... --c7."""

_TEMPLATE = Path(__file__).parent / "plots.svg.jinja"
_ROC_POINTS = 200


@dataclass(frozen=True)
class MixedText:
    """One text joined from passages of several sub-datasets, and what was predicted along it.

    Attributes:
        items: predicted shares of its stretches, in order.
        true_borders: (start, end, sub_dataset) of each part, end exclusive, in characters.
    """

    text: str
    items: Sequence[TimelineItem]
    true_borders: Sequence[tuple[int, int, str]]


@dataclass(frozen=True)
class Figures:
    """What the page draws beside the numbers of report.json. None = not measured.

    Attributes:
        sub_datasets: the K names, in the order of `confusion`.
        confusion: [K, K] counts, row = true.
        reliability: bins of the largest share.
        roc: name of an OOD score -> (fpr, tpr) as metrics.roc_curve gives them.
    """

    sub_datasets: Sequence[str]
    confusion: npt.NDArray[np.integer[Any]] | None = None
    reliability: ReliabilityBins | None = None
    roc: Mapping[str, tuple[Points, Points]] | None = None
    timeline: MixedText | None = None


def roc_svg(roc: Mapping[str, tuple[Points, Points]]) -> Markup:
    """ROC curves: share of OOD accepted (x) against share of in-distribution texts kept (y)."""
    curves = [_thinned(list(zip(fpr, tpr, strict=True))) for fpr, tpr in roc.values()]
    return Markup(_macros().roc(curves, ", ".join(roc), COLOURS))


def reliability_svg(bins: ReliabilityBins) -> Markup:
    """Accuracy per bin of confidence, with the diagonal of perfect calibration."""
    rows = zip(bins.edges[:-1], bins.edges[1:], bins.accuracy, bins.count, strict=True)
    most = max(int(bins.count.max()), 1)
    return Markup(_macros().reliability([row for row in rows if row[-1]], most))


def timeline_svg(mixed: MixedText, order: Sequence[str]) -> Markup:
    """Stacked predicted shares over character position; vertical lines are the true borders.

    `order` names the sub-datasets with a colour of their own; the others are drawn as one.
    """
    bands = []
    for item in mixed.items:
        stack = banded(item.shares, order)
        tops = accumulate((share for _, share in stack), initial=0.0)
        bands += [
            (colour_class(name, order), name, item.start, item.end, top, share)
            for (name, share), top in zip(stack, tops)
        ]
    parts = [(colour_class(name, order), name, a, b) for a, b, name in mixed.true_borders]
    return Markup(_macros().timeline(bands, parts, max(len(mixed.text), 1)))


def banded(shares: Mapping[str, float], order: Sequence[str]) -> list[tuple[str, float]]:
    """Shares in the order of the bands, what is not in `order` summed up as `others` at the end."""
    rest = sum(share for name, share in shares.items() if name not in order)
    known = [(name, shares[name]) for name in order if shares.get(name, 0.0) > 0]
    return [*known, ("others", rest)] if rest > 1e-9 else known


def colour_class(name: str, order: Sequence[str]) -> str:
    """CSS class of a sub-dataset's colour; grey for the others."""
    return f"s{list(order).index(name) % COLOURS}" if name in order else "rest"


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most so many points, both ends kept: more cannot be seen and only weigh down the page."""
    if len(points) <= _ROC_POINTS:
        return points
    keep = np.unique(np.linspace(0, len(points) - 1, _ROC_POINTS).round().astype(int))
    return [points[i] for i in keep]


@cache
def _macros() -> Any:
    return page_template(_TEMPLATE, {}).module
