"""The drawings of report.html as inline SVG.

Drawn by hand rather than by a plotting library: lines take their colours from the page's CSS
variables, so one drawing serves light and dark, and text stays text that scales and can be read
aloud.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from copylens.evaluation.metrics import ReliabilityBins
from copylens.records import TimelineItem

Points = npt.NDArray[np.floating[Any]]

COLOURS = 8
"""The page defines so many line colours, --c0 ... --c7."""

_SIZE, _LEFT, _TOP, _SIDE = 368, 56, 10, 300
_BAND_WIDTH, _BAND_TOP, _BAND_HEIGHT = 900, 26, 150
_ROC_POINTS = 200


@dataclass(frozen=True)
class MixedText:
    """One text joined from passages of several sub-datasets, and what was predicted along it.

    Attributes:
        text: the text itself.
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
        timeline: one mixed text.
    """

    sub_datasets: Sequence[str]
    confusion: npt.NDArray[np.integer[Any]] | None = None
    reliability: ReliabilityBins | None = None
    roc: Mapping[str, tuple[Points, Points]] | None = None
    timeline: MixedText | None = None


def roc_svg(roc: Mapping[str, tuple[Points, Points]]) -> Markup:
    """ROC curves: share of OOD accepted (x) against share of in-distribution texts kept (y)."""
    shapes = [_axes("share of OOD texts accepted", "share of registered texts kept")]
    shapes.append(_line([0, 1], [0, 1], "chance"))
    shapes.append(_line([0, 1], [0.95, 0.95], "level"))
    shapes.append(
        Markup('<text class="note" x="{}" y="{}">95 % kept</text>').format(
            _LEFT + 6, round(_y(0.95)) + 13
        )
    )
    for i, (fpr, tpr) in enumerate(roc.values()):
        x, y = _thin(np.asarray(fpr), np.asarray(tpr))
        shapes.append(_line(x, y, f"curve s{i % COLOURS}"))
    names = ", ".join(roc)
    return _svg(_SIZE, _SIZE, f"ROC curves of the OOD scores {names}", shapes)


def reliability_svg(bins: ReliabilityBins) -> Markup:
    """Accuracy per bin of confidence, with the diagonal of perfect calibration."""
    shapes = [_axes("largest share (confidence)", "share that is right")]
    most = max(int(bins.count.max()), 1)
    for low, high, right, count in zip(
        bins.edges[:-1], bins.edges[1:], bins.accuracy, bins.count, strict=True
    ):
        if not count:
            continue
        # Opacity tells how many passages stand behind a bar.
        shapes.append(
            Markup(
                '<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" '
                'fill-opacity="{:.2f}"><title>{} passages, {:.0f} % right</title></rect>'
            ).format(
                _x(low) + 1,
                _y(right),
                _x(high) - _x(low) - 2,
                _y(0) - _y(right),
                0.25 + 0.75 * count / most,
                count,
                100 * right,
            )
        )
    shapes.append(_line([0, 1], [0, 1], "chance"))
    return _svg(_SIZE, _SIZE, "Reliability: accuracy against confidence, in bins", shapes)


def timeline_svg(mixed: MixedText, order: Sequence[str]) -> Markup:
    """Stacked predicted shares over character position; vertical lines are the true borders.

    `order` names the sub-datasets with a colour of their own; the others are drawn as one.
    """
    length = max(len(mixed.text), 1)
    scale = _BAND_WIDTH / length
    shapes: list[Markup] = []
    for item in mixed.items:
        top = float(_BAND_TOP)
        for name, share in banded(item.shares, order):
            height = share * _BAND_HEIGHT
            shapes.append(
                Markup(
                    '<rect class="band {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                    "<title>{}: {:.0f} % of characters {} to {}</title></rect>"
                ).format(
                    colour_class(name, order),
                    item.start * scale,
                    top,
                    (item.end - item.start) * scale + 0.3,
                    height,
                    name,
                    100 * share,
                    item.start,
                    item.end,
                )
            )
            top += height
    shapes += _true_parts(mixed, order, scale)
    label = "Predicted shares along the text; lines mark the true borders"
    return _svg(_BAND_WIDTH, _BAND_TOP + _BAND_HEIGHT + 4, label, shapes, stretched=True)


def banded(shares: Mapping[str, float], order: Sequence[str]) -> list[tuple[str, float]]:
    """Shares in the order of the bands, what is not in `order` summed up as `others` at the end."""
    rest = sum(share for name, share in shares.items() if name not in order)
    known = [(name, shares[name]) for name in order if shares.get(name, 0.0) > 0]
    return [*known, ("others", rest)] if rest > 1e-9 else known


def colour_class(name: str, order: Sequence[str]) -> str:
    """CSS class of a sub-dataset's colour; grey for the others."""
    return f"s{list(order).index(name) % COLOURS}" if name in order else "rest"


def _true_parts(mixed: MixedText, order: Sequence[str], scale: float) -> list[Markup]:
    shapes = []
    for start, end, name in mixed.true_borders:
        shapes.append(
            Markup(
                '<rect class="truth {}" x="{:.1f}" y="4" width="{:.1f}" height="14">'
                "<title>true: {}, characters {} to {}</title></rect>"
            ).format(
                colour_class(name, order), start * scale, (end - start) * scale, name, start, end
            )
        )
        if start:
            shapes.append(
                Markup('<line class="border" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1}"/>').format(
                    start * scale, _BAND_TOP + _BAND_HEIGHT + 4
                )
            )
    return shapes


def _x(share: float) -> float:
    return _LEFT + share * _SIDE


def _y(share: float) -> float:
    return _TOP + (1 - share) * _SIDE


def _axes(x_name: str, y_name: str) -> Markup:
    frame = Markup('<rect class="frame" x="{}" y="{}" width="{}" height="{}"/>').format(
        _LEFT, _TOP, _SIDE, _SIDE
    )
    ticks = Markup("").join(
        Markup(
            '<text class="tick" x="{:.0f}" y="{:.0f}" text-anchor="middle">{:g}</text>'
            '<text class="tick" x="{:.0f}" y="{:.0f}" text-anchor="end">{:g}</text>'
        ).format(_x(tick), _y(0) + 16, tick, _LEFT - 6, _y(tick) + 4, tick)
        for tick in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    middle = _TOP + _SIDE / 2
    names = Markup(
        '<text class="axis" x="{:.0f}" y="{:.0f}" text-anchor="middle">{}</text>'
        '<text class="axis" transform="translate(11 {:.0f}) rotate(-90)" '
        'text-anchor="middle">{}</text>'
    ).format(_LEFT + _SIDE / 2, _y(0) + 36, x_name, middle, y_name)
    return frame + ticks + names


def _line(x: Any, y: Any, css: str) -> Markup:
    points = " ".join(f"{_x(a):.1f},{_y(b):.1f}" for a, b in zip(x, y, strict=True))
    return Markup('<polyline class="{}" points="{}"/>').format(css, points)


def _thin(x: Points, y: Points) -> tuple[Points, Points]:
    """At most so many points, both ends kept: more cannot be seen and only weigh down the page."""
    if len(x) <= _ROC_POINTS:
        return x, y
    keep = np.unique(np.linspace(0, len(x) - 1, _ROC_POINTS).round().astype(int))
    return x[keep], y[keep]


def _svg(
    width: int, height: int, label: str, shapes: Sequence[Markup], stretched: bool = False
) -> Markup:
    """One drawing; `stretched`: it fills whatever width and height the page gives it."""
    ratio = Markup(' preserveAspectRatio="none"') if stretched else ""
    head = Markup('<svg viewBox="0 0 {} {}"{} role="img" aria-label="{}"><title>{}</title>').format(
        width, height, ratio, escape(label), escape(label)
    )
    return head + Markup("").join(shapes) + Markup("</svg>")
