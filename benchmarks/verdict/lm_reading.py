"""What two benchmarks of LMs share: passages of a run, and the attention channel on an LM."""

from collections.abc import Sequence

import numpy as np

from copylens.attributor.attention.dataset import StateSet, state_set
from copylens.attributor.attention.fit import fit_reader
from copylens.attributor.attention.training import predict
from copylens.config.schema import RunConfig
from copylens.corpus import load_manifest, read_split
from copylens.evaluation.studies.inputs import spread
from copylens.probe.probe import Probe
from copylens.records import FloatArray, IntArray, Passage, SplitName


def some_passages(config: RunConfig, split: SplitName, most: int) -> list[Passage]:
    """Passages of a split, in turn from every sub-dataset and split group."""
    passages = read_split(config.output, split)
    kinds, groups = [p.sub_dataset for p in passages], [p.split_group for p in passages]
    return [passages[int(i)] for i in spread(kinds, groups, most, config.seed)]


def labels_of(config: RunConfig, passages: Sequence[Passage]) -> IntArray:
    """[N] the passages' sub-datasets."""
    names = load_manifest(config.output).sub_datasets
    return np.array([names.index(p.sub_dataset) for p in passages])


class AttentionChannel:
    """The run's reader of states, fitted on passages with the LM of this config."""

    def __init__(self, config: RunConfig, train: Sequence[Passage]):
        self._probe = Probe(config.probe)
        _, groups = np.unique([p.split_group for p in train], return_inverse=True)
        found = state_set(self._states(train), labels_of(config, train), groups)
        classes = len(load_manifest(config.output).sub_datasets)
        nothing = StateSet((), np.zeros(0, np.int64))
        self._reader, _ = fit_reader(found, nothing, classes, config.attributor, config.seed)

    def answers(self, passages: Sequence[Passage]) -> IntArray:
        """[N] the sub-dataset of each passage."""
        return np.asarray(predict(self._reader, tuple(self._states(passages))).text.argmax(axis=1))

    def _states(self, passages: Sequence[Passage]) -> list[FloatArray]:
        return [item.values for item in self._probe.states([p.text for p in passages])]
