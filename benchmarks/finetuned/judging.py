"""What CopyLens says of an LM of known truth: its audit, and whose text the LM's own texts are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from copylens.audit.extraction import suffixes
from copylens.audit.passages import audit_passages
from copylens.audit.reading import load_reading, plan_readings
from copylens.audit.stage import audit_uri
from copylens.config.schema import RunConfig
from copylens.records import BoolArray, FloatArray
from copylens.store import storage
from copylens.store.stages import Stage
from copylens.verdict.scorer import Scorer
from ray_jobs.cluster.session import ray_session
from ray_jobs.pipeline import run_stages

_STAGES: tuple[Stage, ...] = ("ingest", "embed", "train", "audit")
WAYS = ("shares", "attention", "lexical")
"""Who names a sub-dataset: the verdict's largest share, or a channel alone."""


def run_through(config: RunConfig) -> Scorer:
    """A run of CopyLens whose probe is this LM, audit included; what is done is not done again."""
    with ray_session(config):
        for _ in run_stages(config, _STAGES):
            pass
    return Scorer.load(str(Path(config.output) / "model"))


@dataclass(frozen=True)
class Named:
    """Of texts [N], which sub-dataset each way names first, and the verdicts' shares.

    Attributes:
        first: way -> [N] sub-dataset.
        shares: [N, K] in the scorer's order.
    """

    first: dict[str, list[str]]
    shares: FloatArray


def named(scorer: Scorer, texts: Sequence[str]) -> Named:
    """What a scorer says of texts. Blank ones, which have no verdict, are named by nobody."""
    names = np.array(scorer.model.attributor.sub_datasets)
    kept = [n for n, text in enumerate(texts) if text.strip()]
    asked = [texts[n] for n in kept]
    states = scorer.reader.states(asked)
    scores = scorer.score(asked, states)
    shares = np.zeros((len(texts), len(names)))
    shares[kept] = scores.shares
    first = {way: [""] * len(texts) for way in WAYS}
    for way, each in {"shares": scores.shares, **scores.channels.text}.items():
        for n, name in zip(kept, names[each.argmax(axis=1)]):
            first[way][n] = str(name)
    return Named(first, shares)


@dataclass(frozen=True)
class Audited:
    """An audit against the truth.

    Attributes:
        found, false: sub-datasets said to be trained on that were, and that were not.
        extractable: of passages that were read many times; unread: of those that were not read.
        losses: kind of passage -> mean loss, nats per token, of the LM's own sub-dataset.
    """

    found: list[str]
    false: list[str]
    extractable: list[bool]
    unread: list[bool]
    losses: dict[str, float]


def audited(config: RunConfig, own: str | None, often: frozenset[str]) -> Audited:
    """The audit of a run.

    Args:
        own: the sub-dataset that the LM was fine-tuned on; None = on none.
        often: texts of it that were read many times.
    """
    findings: Mapping[str, Any] = storage.read_json(audit_uri(config))["sub_datasets"]
    said = [name for name, entry in findings.items() if entry["finding"] == "trained on"]
    items = audit_passages(config)
    extractable: list[bool] = []
    unread: list[bool] = []
    losses: dict[str, float] = {}
    for task in plan_readings(config, items):
        mine, tokens = items[task.sub_dataset], load_reading(task).tokens
        for suffix in suffixes(mine, tokens):
            if suffix.passage.text in often and task.sub_dataset == own:
                extractable.append(suffix.extractable(config.audit))
            elif suffix.passage.kind == "non-member" or task.sub_dataset != own:
                unread.append(suffix.extractable(config.audit))
        if task.sub_dataset == own:
            each = np.array([-float(item.log_probs.mean()) for item in tokens])
            read = np.array([item.kind == "member" for item in mine])
            losses = {"read": float(each[read].mean()), "unread": float(each[~read].mean())}
    return Audited(
        [n for n in said if n == own], [n for n in said if n != own], extractable, unread, losses
    )


def hits(found: Named, way: str, name: str) -> BoolArray:
    """[N] whether a text is said to be of this sub-dataset first."""
    return np.array([first == name for first in found.first[way]])
