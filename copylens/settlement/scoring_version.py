"""The model version that scored a log: its sub-datasets, its confusion, its lineage."""

from dataclasses import dataclass, field
from typing import Any

from copylens.fit.confusion import HeldOutShares
from copylens.store import storage
from copylens.verdict.attachments import audit_sentences
from copylens.verdict.bundle import SCORER_FILE
from copylens.verdict.scorer import Scorer


@dataclass(frozen=True)
class ScoringVersion:
    """What a statement needs of the model version that scored the log.

    Attributes:
        sub_datasets: in the order of its K axis.
        held_out: shares of held-out passages, which the correction uses.
        scorer_sha256: of the saved scorer's metadata, which hold the hashes of all its files.
        lineage: hashes of the corpus and the LM that it was trained on.
        audit: sub-dataset -> what an audit of the LM said of it; empty where there was none.
    """

    sub_datasets: tuple[str, ...]
    held_out: HeldOutShares
    scorer_sha256: str
    lineage: dict[str, Any] = field(default_factory=dict)
    audit: dict[str, tuple[str, ...]] = field(default_factory=dict)


def read_scoring_version(folder: str) -> ScoringVersion:
    """The version that a saved scorer's folder holds.

    Raises:
        ModelError: the folder holds no scorer, or a damaged one.
    """
    scorer = Scorer.load(folder)
    return ScoringVersion(
        scorer.model.attributor.sub_datasets,
        scorer.model.held_shares,
        storage.sha256(storage.read_bytes(storage.join(folder, SCORER_FILE))),
        scorer.lineage,
        audit_sentences(scorer.attachments),
    )
