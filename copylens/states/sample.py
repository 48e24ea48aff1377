"""Which training passages the LM reads where it is not to read all of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from copylens.config.schema import RunConfig
from copylens.corpus import load_manifest
from copylens.corpus.sampling import unit
from copylens.records import Passage, SplitName


@dataclass(frozen=True)
class Sample:
    """Passages drawn by a hash of their ids, so that no shard needs to know of the others.

    Attributes:
        parts: sub-dataset -> the part of its training passages that is read, in (0, 1); those
            that are not named are read as a whole.
        share: of all training passages, about.
    """

    parts: Mapping[str, float]
    share: float

    @classmethod
    def of(cls, config: RunConfig) -> "Sample":
        """About `probe.max_passages` of each sub-dataset; all where that is null.

        Raises:
            CorpusError: the corpus has not been ingested.
        """
        most = config.probe.max_passages
        if most is None:
            return cls({}, 1.0)
        manifest = load_manifest(config.output)
        counts = {n: manifest.by_sub_dataset[n].get("train", 0) for n in manifest.sub_datasets}
        read = sum(min(count, most) for count in counts.values())
        parts = {name: most / count for name, count in counts.items() if count > most}
        return cls(parts, read / max(sum(counts.values()), 1))

    def reads(self, split: SplitName, passage: Passage) -> bool:
        """Whether the LM reads a passage of this split: all that are not for training."""
        return split != "train" or unit(passage.id) < self.parts.get(passage.sub_dataset, 1.0)
