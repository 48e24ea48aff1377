"""What every study gets, and the passages it looks at."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from copylens.config.schema import RunConfig
from copylens.corpus.sampling import in_turn
from copylens.evaluation.answers import Evaluation
from copylens.evaluation.baselines.table import Classifier, fit_text_baseline
from copylens.evaluation.bootstrap import paired_difference
from copylens.fit.data import TextSet
from copylens.records import FloatArray, IntArray, Passage
from copylens.verdict.scorer import Scorer, Scores

Right = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class StudyInput:
    """A scored run.

    Attributes:
        config: of the run; `config.evaluation` sizes the studies.
        answers: the run's splits with the scorer's answers.
        best_text: name of the text-only baseline with the highest accuracy on test: the one that
            every study stands beside.
    """

    config: RunConfig
    answers: Evaluation
    best_text: str

    @property
    def scorer(self) -> Scorer:
        """The scorer under study."""
        return self.answers.scorer

    @property
    def names(self) -> tuple[str, ...]:
        """The K sub-datasets, in the order of the labels."""
        return self.scorer.model.attributor.sub_datasets

    @property
    def train(self) -> TextSet:
        """All training passages."""
        return self.answers.texts["train"]

    @property
    def val(self) -> TextSet:
        """All validation passages."""
        return self.answers.texts["val"]

    @property
    def test(self) -> TextSet:
        """All test passages."""
        return self.answers.texts["test"]

    @cached_property
    def text_baseline(self) -> Classifier:
        """The best text-only baseline, fitted on train once for all studies."""
        classes = len(self.names)
        return fit_text_baseline(self.best_text, self.train, self.val, classes, self.config.seed)

    def sample(self, among: IntArray | None = None) -> IntArray:
        """Positions of at most `study_passages` test passages, all or those of `among`."""
        where = np.arange(len(self.test)) if among is None else among
        part = self.test.subset(where)
        count = self.config.evaluation.study_passages
        return np.asarray(where[spread(part.labels, part.groups, count, self.config.seed)])

    def some_of_train(self, count: int, read: bool = False) -> TextSet:
        """At most so many training passages, for what is fitted many times.

        Args:
            read: of those alone that the LM has read.
        """
        train = self.train.subset(self.train.read) if read else self.train
        return train.subset(spread(train.labels, train.groups, count, self.config.seed))

    def score(self, texts: Sequence[str]) -> tuple[Scores, FloatArray]:
        """The scorer's answers for texts of any kind, and their shares as if all were registered.

        Returns:
            the answers; [N, K], rows sum to 1.
        """
        scores = self.scorer.score(texts, self.scorer.reader.states(texts))
        return scores, scores.closed

    def compare(self, right: Right, other: Right, index: IntArray) -> dict[str, Any]:
        """Paired difference of two methods on the test passages at `index`; > 0 = first better."""
        passages = [self.answers.passages["test"][int(i)] for i in index]
        return compare(right, other, passages, self.config.seed)


def compare(right: Right, other: Right, passages: Sequence[Passage], seed: int) -> dict[str, Any]:
    """`difference` of accuracies and its 95 % interval over split groups."""
    groups = [p.split_group for p in passages]
    found = paired_difference(right, other, groups, [p.sub_dataset for p in passages], seed=seed)
    return {"difference": found.estimate, "difference_ci95": found.ends}


def spread(
    classes: Iterable[Hashable], groups: Sequence[Hashable], count: int, seed: int
) -> IntArray:
    """Sorted positions of at most `count` passages, in turn from every class and split group.

    Args:
        classes: [N] sub-dataset of each passage, by name or number.
        groups: [N] split group of each.
        seed: which passages of a group come first.
    """
    kinds = list(classes)
    order = [int(i) for i in np.random.default_rng([seed, 31]).permutation(len(kinds))]
    order = in_turn(order, lambda i: (kinds[i], groups[i]))
    order = in_turn(order, lambda i: kinds[i])
    return np.sort(np.array(order[:count], dtype=np.int64))
