"""What the report and the studies read: the run's data with the scorer's answers."""

from dataclasses import dataclass

from copylens.config.schema import RunConfig
from copylens.corpus import load_manifest, read_split
from copylens.fit.data import TextSet, load_texts
from copylens.records import FloatArray, Passage, SplitName
from copylens.verdict.scorer import Scorer, Scores

EVALUATED: tuple[SplitName, ...] = ("train", "val", "test", "ood_val", "ood_test")


@dataclass(frozen=True)
class Evaluation:
    """The data of a run with the scorer's answers: what every section of the report reads."""

    scorer: Scorer
    passages: dict[SplitName, list[Passage]]
    texts: dict[SplitName, TextSet]
    scores: dict[SplitName, Scores]

    @property
    def classes(self) -> int:
        """K."""
        return len(self.scorer.model.attributor.sub_datasets)

    @property
    def closed_shares(self) -> FloatArray:
        """[N, K] shares of the test passages as if all were registered; rows sum to 1."""
        return self.scores["test"].closed


def load_evaluation(config: RunConfig, scorer: Scorer) -> Evaluation:
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
    )
