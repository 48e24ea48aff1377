"""Data parallelism by hand: each worker takes its share of every global batch.

The sum over workers equals what one worker alone computes, up to the order of floating-point
additions, so the number of workers is not a hyperparameter.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, distributed

from copylens.records import FloatArray


def rank() -> int:
    """Number of this worker, 0 where there is only one."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world() -> int:
    """How many workers train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def my_share(items: Sequence[int]) -> Sequence[int]:
    """Every world()-th item, starting at rank()."""
    return items[rank() :: world()]


def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Adds up the gradients over all workers in one message; no-op for one worker."""
    if world() == 1:
        return
    with_gradient = [p for p in parameters if p.requires_grad]
    flat = torch.cat(
        [(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in with_gradient]
    )
    distributed.all_reduce(flat)
    start = 0
    for p in with_gradient:
        p.grad = flat[start : start + p.numel()].view_as(p).clone()
        start += p.numel()


def sum_array(array: FloatArray) -> FloatArray:
    """Adds up a float64 array over all workers."""
    if world() == 1:
        return array
    total = torch.from_numpy(array)
    distributed.all_reduce(total)
    return np.asarray(total.numpy())


def sum_value(value: float) -> float:
    """Adds up a number over all workers."""
    return float(sum_array(np.array([value]))[0])
