"""The version that judged a log: what it knows of its own errors."""

from dataclasses import dataclass, field
from typing import Any

from copylens.fit.confusion import HeldOutShares
from copylens.store import storage
from copylens.verdict.bundle import SCORER_FILE
from copylens.verdict.scorer import Scorer


@dataclass(frozen=True)
class Grounds:
    """What a statement takes from the version that judged the log.

    Attributes:
        sub_datasets: in the order of its K axis.
        held_out: what shares are corrected by, if it keeps any.
        scorer_sha256: names the version to the byte.
        lineage: what it descends from.
    """

    sub_datasets: tuple[str, ...]
    held_out: HeldOutShares | None
    scorer_sha256: str
    lineage: dict[str, Any] = field(default_factory=dict)


def read_grounds(folder: str) -> Grounds:
    """From a saved scorer.

    Raises:
        ModelError: the folder holds no scorer, or a damaged one.
    """
    scorer = Scorer.load(folder)
    return Grounds(
        scorer.model.attributor.sub_datasets,
        scorer.model.held_shares,
        storage.sha256(storage.read_bytes(storage.join(folder, SCORER_FILE))),
        scorer.lineage,
    )
