"""States in memory, batches of them, and mixtures of several passages."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from copylens.errors import ModelError
from copylens.records import FloatArray, IntArray


@dataclass(frozen=True)
class StateSet:
    """Passages' states with their labels.

    Attributes:
        values: N arrays [W, F] fp16.
        labels: [N] index of the sub-dataset; -1 where it is none of the registered ones.
        groups: [N] split groups as numbers; empty where they do not matter.
    """

    values: tuple[FloatArray, ...]
    labels: IntArray
    groups: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Batch:
    """A padded batch.

    Attributes:
        values: [B, W, F] float32.
        lengths: [B].
        targets: [B, K] proportions of the sub-datasets.
        window_targets: [B, W] index of each window's sub-dataset; -1 = padding.
    """

    values: Tensor
    lengths: Tensor
    targets: Tensor
    window_targets: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch where the network computes."""
        return Batch(*(value.to(device) for value in vars(self).values()))


def state_set(
    values: Sequence[FloatArray], labels: IntArray, groups: IntArray | None = None
) -> StateSet:
    """Checks that all passages have the same features and puts them together."""
    widths = {array.shape[1] for array in values}
    if len(widths) > 1:
        raise ModelError(f"states of different widths {sorted(widths)}; run embed again")
    return StateSet(tuple(values), labels, np.zeros(0, np.int64) if groups is None else groups)


def moments(data: StateSet) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature over all windows, both [F] float32."""
    F = data.values[0].shape[1]
    total, square, count = np.zeros(F), np.zeros(F), 0
    for array in data.values:
        wide = array.astype(np.float64)
        total += wide.sum(axis=0)
        square += (wide**2).sum(axis=0)
        count += len(wide)
    mean = total / count
    deviation = np.sqrt(np.maximum(square / count - mean**2, 1e-8))
    return torch.from_numpy(mean).float(), torch.from_numpy(deviation).float()


def plain_batch(data: StateSet, index: Sequence[int], classes: int) -> Batch:
    """The passages at these positions, one-hot targets."""
    parts = [[(data.values[i], int(data.labels[i]))] for i in index]
    return _pad(parts, classes)


def mixed_batch(
    data: StateSet,
    index: Sequence[int],
    classes: int,
    fraction: float,
    most_parts: int,
    seed: Sequence[int],
) -> Batch:
    """Like `plain_batch`, but a fraction of the rows are mixtures.

    A mixture joins contiguous blocks of 2..most_parts passages in random order; the proportions
    are Dirichlet(1) and its length is about that of the passage it replaces. Each row draws from
    (seed, its position), so that it is the same on every worker and beside any other rows.
    """
    parts = []
    for i in index:
        generator = np.random.default_rng([*seed, i])
        part = [(data.values[i], int(data.labels[i]))]
        if generator.random() < fraction:
            part = _mixture(data, i, int(generator.integers(2, most_parts + 1)), generator)
        parts.append(part)
    return _pad(parts, classes)


def _mixture(
    data: StateSet, first: int, count: int, generator: np.random.Generator
) -> list[tuple[FloatArray, int]]:
    members = [first, *generator.integers(0, len(data), count - 1)]
    length = len(data.values[first])
    proportions = generator.dirichlet(np.ones(count))
    parts = []
    for member, proportion in zip(members, proportions):
        values = data.values[int(member)]
        take = min(len(values), round(length * proportion))
        if take:
            start = int(generator.integers(0, len(values) - take + 1))
            parts.append((values[start : start + take], int(data.labels[int(member)])))
    generator.shuffle(parts)
    return parts or [(data.values[first], int(data.labels[first]))]


def _pad(rows: Sequence[Sequence[tuple[FloatArray, int]]], classes: int) -> Batch:
    lengths = [sum(len(values) for values, _ in row) for row in rows]
    B, W, F = len(rows), max(lengths), rows[0][0][0].shape[1]
    padded = np.zeros((B, W, F), dtype=np.float32)
    targets = np.zeros((B, classes), dtype=np.float32)
    window_targets = np.full((B, W), -1, dtype=np.int64)
    for b, row in enumerate(rows):
        start = 0
        for values, label in row:
            end = start + len(values)
            padded[b, start:end] = values
            window_targets[b, start:end] = label
            targets[b, label] += len(values) / lengths[b]
            start = end
    return Batch(
        torch.from_numpy(padded),
        torch.tensor(lengths),
        torch.from_numpy(targets),
        torch.from_numpy(window_targets),
    )
