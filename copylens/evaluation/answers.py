"""What the report and the studies read: the run's data with the scorer's answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from copylens.config.schema import RunConfig
from copylens.corpus import load_manifest, read_split
from copylens.fit.data import TextSet, load_texts
from copylens.progress import Meter, Silent
from copylens.records import FloatArray, Passage, SplitName
from copylens.verdict.scorer import Scorer, Scores

# Texts read between two messages of progress.
_BATCH = 64
EVALUATED: tuple[SplitName, ...] = ("train", "val", "test", "ood_val", "ood_test")


@dataclass(frozen=True)
class Evaluation:
    """The data of a run with the scorer's answers: what every section of the report reads.

    Attributes:
        meter: counts the texts that an LM reads for the report.
    """

    scorer: Scorer
    passages: dict[SplitName, list[Passage]]
    texts: dict[SplitName, TextSet]
    scores: dict[SplitName, Scores]
    meter: Meter = field(default_factory=Silent)

    @property
    def classes(self) -> int:
        """K."""
        return len(self.scorer.model.attributor.sub_datasets)

    @property
    def closed_shares(self) -> FloatArray:
        """[N, K] shares of the test passages as if all were registered; rows sum to 1."""
        return self.scores["test"].closed

    def score(self, texts: Sequence[str]) -> Scores:
        """Reads and scores texts that are in no split."""
        states = []
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            states += self.scorer.reader.states(batch)
            self.meter(len(batch))
        return self.scorer.score(texts, states)


def load_evaluation(config: RunConfig, scorer: Scorer, meter: Meter | None = None) -> Evaluation:
    """Reads the run's splits and scores the test texts, registered and unregistered."""
    names = load_manifest(config.output).sub_datasets
    texts = {split: load_texts(config, split, names) for split in EVALUATED}
    return Evaluation(
        scorer=scorer,
        passages={split: read_split(config.output, split) for split in EVALUATED},
        texts=texts,
        scores={
            split: scorer.score(part.texts, part.states)
            for split, part in texts.items()
            if split in ("test", "ood_test") and len(part)
        },
        meter=meter or Silent(),
    )
