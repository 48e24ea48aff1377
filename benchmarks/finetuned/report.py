"""The figures of the whole check."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.finetuned.cause import group_lds
from benchmarks.finetuned.judging import WAYS, Audited, audited, hits, named, run_through
from benchmarks.finetuned.study import UNTUNED, Study, tell
from copylens.corpus import read_split
from copylens.evaluation.bootstrap import mean_interval
from copylens.records import BoolArray
from copylens.verdict.scorer import Scorer


@dataclass
class _Found:
    """What was found of the LMs so far.

    Attributes:
        audits: of every LM, the untuned one too.
        own, base: way -> of every tuned LM, which of its texts, and of the untuned one's, are said
            to be of its sub-dataset first.
    """

    audits: list[Audited] = field(default_factory=list)
    own: dict[str, list[BoolArray]] = field(default_factory=lambda: {way: [] for way in WAYS})
    base: dict[str, list[BoolArray]] = field(default_factory=lambda: {way: [] for way in WAYS})

    def flags(self, name: str) -> list[bool]:
        """`extractable` or `unread` of all audits."""
        return [flag for audit in self.audits for flag in getattr(audit, name)]


def report(study: Study) -> dict[str, Any]:
    """Judges every LM, tells what was found of each, and returns the figures."""
    start, found = time.monotonic(), _Found()
    losses = study.losses  # tunes and writes, in processes of its own, before Ray takes the cores
    tell({"step": "fine-tuned, written, losses", "minutes": _minutes(start)})
    scorer: Scorer | None = None
    for lm, adapter in study.adapters.items():
        config = study.config(lm, adapter)
        scorer = run_through(config)
        own = None if adapter is None else lm
        found.audits.append(audited(config, own, study.often(lm) if own else frozenset()))
        if own:
            _named(study, own, scorer, found)
        tell({**_told(lm, found), "minutes": _minutes(start)})
    assert scorer is not None, "the untuned LM is the last one"
    shares = named(scorer, [query.text for query in study.queries]).shares
    members = {item.id for items in study.members.values() for item in items}
    read = [p for p in read_split(scorer.config.output, "train") if p.id in members]
    lds = group_lds(study.queries, np.array(losses), shares, read, study.names)
    tell({"lds": lds})
    figures = {"lms": len(study.names), "minutes": _minutes(start)} | _figures(study, found)
    values = {name: lds["all"][name][0] for name in ("lds", "lds_bm25")}
    return figures | values | {"lds_ci95": lds["all"]["lds_ci95"]}


def _named(study: Study, lm: str, scorer: Scorer, found: _Found) -> None:
    """Whose the texts of a tuned LM are, and those of the untuned one by the same scorer."""
    for writer, sides in ((lm, found.own), (UNTUNED, found.base)):
        said = named(scorer, [query.text for query in study.written[writer]])
        for way in WAYS:
            sides[way].append(hits(said, way, lm))


def _told(lm: str, found: _Found) -> dict[str, object]:
    audit = found.audits[-1]
    told: dict[str, object] = {
        "lm": lm,
        "found": audit.found,
        "false": audit.false,
        "extractable": _share(audit.extractable),
        "unread": _share(audit.unread),
        "loss": audit.losses,
    }
    if lm != UNTUNED:
        for name, sides in (("written", found.own), ("untuned", found.base)):
            told[name] = {way: round(float(sides[way][-1].mean()), 3) for way in WAYS}
    return told


def _figures(study: Study, found: _Found) -> dict[str, Any]:
    own, base = found.own, found.base
    openings = study.written[UNTUNED]
    difference = mean_interval(
        # Every opening once: the mean over LMs of what they do with it.
        np.mean([a.astype(float) - b for a, b in zip(own["shares"], base["shares"])], axis=0),
        [query.group for query in openings],
        [query.sub_dataset for query in openings],
    )
    return {
        "audit_found": sum(len(audit.found) for audit in found.audits),
        "audit_false": sum(len(audit.false) for audit in found.audits),
        "written_named": float(np.mean(own["shares"])),
        "written_named_untuned": float(np.mean(base["shares"])),
        "written_difference_ci95": difference.ends,
        "written_words_only": float(np.mean(own["lexical"])),
        "written_attention_only": float(np.mean(own["attention"])),
        "extractable_trained": _share(found.flags("extractable")),
        "extractable_unread": _share(found.flags("unread")),
    }


def _share(flags: list[bool]) -> float | None:
    return float(np.mean(flags)) if flags else None


def _minutes(start: float) -> float:
    return round((time.monotonic() - start) / 60, 1)
