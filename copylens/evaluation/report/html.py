"""report.html: the figures of report.json as one page that a person reads, with no other files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from copylens.evaluation.contract import check_report
from copylens.evaluation.metrics import FPR95_CONVENTION
from copylens.evaluation.report import study_tables, wording
from copylens.evaluation.report.audit_section import insert_audit
from copylens.evaluation.report.plots import (
    COLOURS,
    Figures,
    MixedText,
    colour_class,
    reliability_svg,
    roc_svg,
    timeline_svg,
)
from copylens.templates import page_template

_TEMPLATE = Path(__file__).parent / "report.html.jinja"
_NAMED_BANDS = COLOURS
NONE_OF_THEM = "none of them"

_KIND_NAMES = {
    "pure": "one registered sub-dataset",
    "mixed": "several registered ones",
    "partly": "a registered and an unregistered one",
    "unregistered": "none of them",
}

_CHANNEL_NAMES = {
    "attention": "attention: what the heads of the LLM compute",
    "lexical": "lexical: the words and characters themselves",
}


@dataclass(frozen=True)
class Stretch:
    """A piece of the mixed text under one predicted sub-dataset; `part` opens a true part."""

    text: str
    css: str
    name: str
    share: float
    part: str | None


_FILTERS: Mapping[str, Callable[..., Any]] = {
    "percent": wording.percent,
    "points": wording.points,
    "decimal": wording.decimal,
    "between": wording.between,
}


def render_report(
    report: Mapping[str, Any], figures: Figures, audit: Mapping[str, Any] | None = None
) -> str:
    """The whole page, every text in it escaped.

    Sections of studies that were not run are left out; a single figure that was not measured is a
    dash, never a number.

    Args:
        report: as `contract.check_report` demands.
        figures: what is drawn beside the numbers.
        audit: content of audit.json, where there is one.

    Raises:
        ValueError: the report breaks its contract.
    """
    check_report(report)
    page = page_template(_TEMPLATE, _FILTERS).render(
        report=report,
        headlines=wording.headlines(report),
        channels=_measured_channels(report),
        controls=study_tables.control_rows(report),
        views=study_tables.view_rows(report),
        outputs=study_tables.output_rows(report),
        in_corpus=study_tables.in_corpus_rows(report),
        best_text=wording.best_text_name(report),
        baselines=_baseline_rows(report),
        ood_rows=study_tables.ood_rows(report["ood"]),
        ood_methods=_ood_methods(report),
        kinds=_measured_kinds(report),
        convention=report["ood"]["convention"] or FPR95_CONVENTION,
        config=_folded(report["config"]),
        lineage=_folded(report["lineage"]),
        evidence=_folded(report.get("evidence")),
        **_drawings(figures),
    )
    return insert_audit(str(page), audit)


def _drawings(figures: Figures) -> dict[str, Any]:
    mixed, roc = figures.timeline, figures.roc
    order = _band_order(mixed) if mixed else []
    return {
        "confusion": _confusion_rows(figures),
        "reliability": reliability_svg(figures.reliability) if figures.reliability else None,
        "roc": roc_svg(roc) if roc else None,
        "roc_names": list(roc or {}),
        "timeline": timeline_svg(mixed, order) if mixed else None,
        "timeline_names": order,
        "stretches": _stretches(mixed, order) if mixed else [],
    }


def _measured_channels(report: Mapping[str, Any]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Channel -> its title and figures."""
    return {
        name: (title, report["channels"][name])
        for name, title in _CHANNEL_NAMES.items()
        if report["channels"][name]["accuracy"] is not None
    }


def _measured_kinds(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Kinds of texts with the figures of their published shares."""
    by_kind = report["shares"]["by_kind"] or {}
    return [(_KIND_NAMES[kind], found) for kind, found in by_kind.items() if found is not None]


def _ood_methods(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """CopyLens' OOD score and those of the baselines that have one, best first."""
    methods = {"CopyLens": report["ood"], **_baselines(report)}
    rows = [
        {
            "title": wording.BASELINE_NAMES.get(name, name),
            "ours": name == "CopyLens",
            **figures,
        }
        for name, figures in methods.items()
        if figures["auroc"] is not None
    ]
    return sorted(rows, key=lambda row: -row["auroc"])


def _baselines(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The baselines by name, without the entries that name the best of them."""
    parts = report["baselines"].items()
    best = ("best_text", "best_ood")
    return {name: part for name, part in parts if name not in best and isinstance(part, Mapping)}


def _baseline_rows(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Baselines that name a sub-dataset, best first, with CopyLens' accuracy less their own."""
    ours = report["attribution"]["accuracy"]
    best = report["baselines"]["best_text"]["name"]
    rows = []
    for name, figures in _baselines(report).items():
        theirs = figures["accuracy"]
        if theirs is None:
            continue
        # A study's own sample is too small a part of the test passages to be compared so.
        same = figures.get("n") in (None, report["attribution"]["n"])
        rows.append(
            {
                "title": wording.BASELINE_NAMES.get(name, name),
                "best": name == best,
                "difference": ours - theirs if same and ours is not None else None,
                **figures,
            }
        )
    return sorted(rows, key=lambda row: -row["accuracy"])


def _confusion_rows(figures: Figures) -> list[dict[str, Any]] | None:
    if figures.confusion is None:
        return None
    counts = np.asarray(figures.confusion)
    if counts.shape != (len(figures.sub_datasets),) * 2:
        raise ValueError(
            f"confusion must be [K, K] with K = {len(figures.sub_datasets)}, got {counts.shape}"
        )
    rows = []
    for name, row in zip(figures.sub_datasets, counts.tolist()):
        shares = [count / max(sum(row), 1) for count in row]
        cells = list(zip(figures.sub_datasets, row, shares, strict=True))
        rows.append({"name": name, "total": sum(row), "cells": cells})
    return rows


def _band_order(mixed: MixedText) -> list[str]:
    """Sub-datasets with a colour of their own: the true parts first, then the largest shares."""
    weight: dict[str, float] = {}
    for item in mixed.items:
        for name, share in item.shares.items():
            weight[name] = weight.get(name, 0.0) + share * (item.end - item.start)
    true = list(dict.fromkeys(name for _, _, name in mixed.true_borders))
    others = sorted((name for name in weight if name not in true), key=lambda name: -weight[name])
    return [*true, *others][:_NAMED_BANDS]


def _stretches(mixed: MixedText, order: Sequence[str]) -> list[Stretch]:
    """The text cut at every predicted stretch and every true border."""
    parts = {start: name for start, _, name in mixed.true_borders}
    ends = {edge for item in mixed.items for edge in (item.start, item.end)}
    cuts = sorted(
        {0, len(mixed.text)} | {cut for cut in ends | set(parts) if cut < len(mixed.text)}
    )
    stretches = []
    for start, end in pairwise(cuts):
        inside = [item for item in mixed.items if item.start <= start < item.end and item.shares]
        shares = {**inside[0].shares, NONE_OF_THEM: inside[0].unregistered} if inside else {}
        name = max(shares, key=lambda key: shares[key]) if shares else "nothing predicted"
        css = colour_class(name, order)
        share = shares.get(name, 0.0)
        stretches.append(Stretch(mixed.text[start:end], css, name, share, parts.get(start)))
    return stretches


def _folded(values: Mapping[str, Any] | None) -> str | None:
    if values is None:
        return None
    return str(yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True))
