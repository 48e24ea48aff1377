"""The texts that a fit reads: a run's splits with their states, labels and split groups."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from copylens.attributor.mixtures import Texts
from copylens.config.schema import RunConfig
from copylens.corpus import load_manifest, read_split, shard_uris
from copylens.errors import ConfigError, ModelError
from copylens.records import REGISTERED_SPLITS, Group, IntArray, Passage, SplitName, States
from copylens.states.mapped import map_states
from copylens.states.sample import Sample
from copylens.states.shards import published, shard_uri
from copylens.states.words import word_states

MOST_PASSAGES = 25_000
"""Of the train split. A kernel of so many passages takes 5 GB, and a handful stand at once."""


@dataclass(frozen=True)
class TextSet:
    """Passages with their states.

    Attributes:
        labels: [N] index of the sub-dataset; -1 for unregistered passages.
        groups: [N] split groups, each with its sub-dataset.
    """

    texts: tuple[str, ...]
    states: tuple[States, ...]
    labels: IntArray
    groups: tuple[Group, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def group_index(self) -> IntArray:
        """[N] the split groups as numbers, by first appearance."""
        numbers: dict[Group, int] = {}
        return np.array([numbers.setdefault(g, len(numbers)) for g in self.groups], np.int64)

    def numbered(self, classes: int) -> Texts:
        """The passages to join or to cut; unregistered ones have the label K = `classes`."""
        labels = np.where(self.labels < 0, classes, self.labels)
        return Texts(self.texts, self.states, labels)

    @property
    def read(self) -> IntArray:
        """Positions of those that the LM has read (see `Sample`)."""
        return np.flatnonzero([item.values.shape[1] > 0 for item in self.states])

    def subset(self, index: IntArray) -> "TextSet":
        """The passages at these positions."""
        return TextSet(
            tuple(self.texts[int(i)] for i in index),
            tuple(self.states[int(i)] for i in index),
            self.labels[index],
            tuple(self.groups[int(i)] for i in index),
        )


@dataclass(frozen=True)
class TrainingData:
    """All that a model is fitted and calibrated on.

    Attributes:
        sub_datasets: the K names that labels number.
        train: registered passages to fit on.
        val: registered passages to calibrate on.
        ood_val: unregistered texts to learn what is not registered from, and to calibrate
            `unregistered` on; may be empty.
        background: texts owned by nobody registered; may be empty.
    """

    sub_datasets: tuple[str, ...]
    train: TextSet
    val: TextSet
    ood_val: TextSet
    background: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """K."""
        return len(self.sub_datasets)

    def with_train(self, kept: IntArray) -> "TrainingData":
        """The same with these positions of train alone."""
        return replace(self, train=self.train.subset(kept))


def load_training_data(config: RunConfig, networks_only: bool = False) -> TrainingData:
    """What the train stage reads of a run.

    Args:
        networks_only: all that the networks are fitted on: `background` stays empty.

    Raises:
        ModelError: states and passages do not match; embed has not run on this corpus.
    """
    names = load_manifest(config.output).sub_datasets
    train, val = load_texts(config, "train", names), load_texts(config, "val", names)
    ood_val = load_texts(config, "ood_val", names)
    background: tuple[str, ...] = ()
    if not networks_only:
        background = tuple(passage.text for passage in read_split(config.output, "background"))
    return TrainingData(names, train, val, ood_val, background)


def check_size(config: RunConfig) -> None:
    """Refuses a training split that would not fit into memory, before any of it is fitted.

    Raises:
        ConfigError: too many passages for the kernels [N, N] of the ridge experts.
    """
    count = sum(s.passages for s in load_manifest(config.output).shards if s.split == "train")
    if config.channels.lexical and count > MOST_PASSAGES:
        raise ConfigError(
            f"the train split has {count:,} passages, the word experts take at most "
            f"{MOST_PASSAGES:,}; set corpus.max_passages (per sub-dataset) and ingest again"
        )


def load_texts(config: RunConfig, split: SplitName, sub_datasets: Sequence[str]) -> TextSet:
    """A split's passages joined with their states, which stay on the local disk.

    Passages that embed put into quarantine are left out. Those that the LM did not read (see
    `Sample`; all, where no channel reads it) have the spans of their windows alone (`word_states`).

    Raises:
        ModelError: states and passages do not match; embed has not run on this corpus.
    """
    passages = read_split(config.output, split)
    if config.reads_lm:
        kept, states = _with_states(config, split, passages)
    else:
        kept = passages
        states = tuple(word_states([p.text for p in passages], config.probe.window))
    registered = split in REGISTERED_SPLITS
    return TextSet(
        texts=tuple(p.text for p in kept),
        states=states,
        labels=_labels(kept, sub_datasets if registered else ()),
        groups=tuple(p.group for p in kept),
    )


def _labels(passages: Sequence[Passage], sub_datasets: Sequence[str]) -> IntArray:
    """[N] index of each passage's sub-dataset; -1 where it is not among them."""
    number = {name: i for i, name in enumerate(sub_datasets)}
    return np.array([number.get(p.sub_dataset, -1) for p in passages], dtype=np.int64)


def _with_states(
    config: RunConfig, split: SplitName, passages: Sequence[Passage]
) -> tuple[list[Passage], tuple[States, ...]]:
    """The passages that were not refused, and their states."""
    output, sample = config.output, Sample.of(config)
    uris = [shard_uri(output, split, source) for source in shard_uris(output, split)]
    refused = {item.id for uri in uris for item in published(uri).quarantined}
    kept = [passage for passage in passages if passage.id not in refused]
    read = {row.id: row.states for row in map_states(uris)}
    if list(read) != [p.id for p in kept if sample.reads(split, p)]:
        raise ModelError(f"'{output}': states and passages of '{split}' differ; run embed")
    unread = [passage for passage in kept if passage.id not in read]
    words = word_states([passage.text for passage in unread], config.probe.window)
    found = read | {passage.id: states for passage, states in zip(unread, words)}
    return kept, tuple(found[passage.id] for passage in kept)
