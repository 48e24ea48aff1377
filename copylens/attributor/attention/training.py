"""Fits one attributor network: epochs over seeded global batches, early stopping on val."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from copylens.attributor.attention import parallel
from copylens.attributor.attention.dataset import StateSet, mixed_batch, moments, plain_batch
from copylens.attributor.attention.network import AttributorNetwork, NetworkOutput, NetworkShape
from copylens.attributor.attention.reader import Reader
from copylens.config.schema import AttributorConfig
from copylens.records import FloatArray, IntArray

# The window head needs targets of its own: the text loss alone trains single windows too little.
_WINDOW_WEIGHT = 0.5
_EVAL_BATCH = 64


@dataclass
class Progress:
    """Where a fit stands after an epoch; all that a resume needs.

    Attributes:
        epoch: epochs done.
        network, optimizer: state dicts.
        best: parameters with the lowest val loss so far, and that loss.
        curve: per epoch {"train_loss", "val_loss", "val_accuracy"}.
    """

    epoch: int = 0
    network: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_loss: float = float("inf")
    stale: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)


def fit_network(
    train: StateSet,
    val: StateSet,
    classes: int,
    config: AttributorConfig,
    seed: int,
    resume: Progress | None = None,
    on_epoch: Callable[[Progress], None] = lambda progress: None,
    network: AttributorNetwork | None = None,
    device: str = "cpu",
) -> tuple[AttributorNetwork, Progress]:
    """Trains until val stops improving; returns the best epoch's network and the curve.

    Every draw is seeded by (seed, epoch, batch), so a resumed fit ends where an undisturbed one
    does, and each global batch is the same for any number of workers.

    Args:
        classes: K.
        resume: progress of an interrupted fit.
        on_epoch: called on every worker after each epoch, e.g. to save a checkpoint.
        network: what to train; default: a fresh one over the states.
        device: where to compute; what comes back lies on the CPU.
    """
    if network is None:
        network = build_network(train, classes, config, seed)
    network.to(device)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    progress = resume or Progress()
    if progress.epoch:
        network.load_state_dict(progress.network)
        optimizer.load_state_dict(progress.optimizer)
    while progress.epoch < config.epochs and progress.stale < config.patience:
        train_loss = _epoch(network, optimizer, train, classes, config, (seed, progress.epoch))
        val_loss, val_accuracy = evaluate(network, val, classes)
        _record(progress, network, optimizer, train_loss, val_loss, val_accuracy)
        on_epoch(progress)
    network.load_state_dict(progress.best)
    return network.cpu().eval(), progress


def build_network(
    train: StateSet, classes: int, config: AttributorConfig, seed: int
) -> AttributorNetwork:
    """A fresh network whose inputs are standardised by the training states."""
    torch.manual_seed(seed)
    network = AttributorNetwork(
        NetworkShape(
            features=train.values[0].shape[1],
            classes=classes,
            hidden=config.hidden,
            projection=config.projection,
            dropout=config.dropout,
        )
    )
    network.mean, network.scale = moments(train)
    return network


def evaluate(network: AttributorNetwork, data: StateSet, classes: int) -> tuple[float, float]:
    """Mean cross-entropy (nats) and accuracy, over all workers' shares of the data."""
    network.eval()
    loss, right = 0.0, 0.0
    mine = parallel.my_share(range(len(data)))
    with torch.inference_mode():
        for start in range(0, len(mine), _EVAL_BATCH):
            batch = plain_batch(data, mine[start : start + _EVAL_BATCH], classes)
            batch = batch.to(_device(network))
            text = network(batch.values, batch.lengths).text
            loss += float(functional.cross_entropy(text, batch.targets, reduction="sum"))
            right += float((text.argmax(1) == batch.targets.argmax(1)).sum())
    total = max(len(data), 1)
    return parallel.sum_value(loss) / total, parallel.sum_value(right) / total


@dataclass(frozen=True)
class Predictions:
    """Outputs for a whole set.

    Attributes:
        text: [N, K] logits.
        windows: N arrays [W, K] of logits.
        features: [N, Z].
    """

    text: FloatArray
    windows: tuple[FloatArray, ...]
    features: FloatArray


@torch.inference_mode()
def predict(network: Reader, values: tuple[FloatArray, ...]) -> Predictions:
    """Runs the network over passages, longest first, and gives results in their order."""
    network.eval()
    order = sorted(range(len(values)), key=lambda i: -len(values[i]))
    labels = np.zeros(len(values), dtype=np.int64)
    data = StateSet(values, labels)
    rows: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
    for start in range(0, len(order), _EVAL_BATCH):
        index = order[start : start + _EVAL_BATCH]
        batch = plain_batch(data, index, network.shape.classes)
        out: NetworkOutput = network(batch.values, batch.lengths)
        for row, i in enumerate(index):
            rows[i] = (out.text[row], out.windows[row, : len(values[i])], out.features[row])
    ordered = [rows[i] for i in range(len(values))]
    return Predictions(
        text=torch.stack([row[0] for row in ordered]).numpy(),
        windows=tuple(row[1].numpy() for row in ordered),
        features=torch.stack([row[2] for row in ordered]).numpy(),
    )


def _epoch(
    network: AttributorNetwork,
    optimizer: torch.optim.Optimizer,
    train: StateSet,
    classes: int,
    config: AttributorConfig,
    seed: tuple[int, int],
) -> float:
    """One pass over the training set; returns the mean loss per passage over all workers."""
    network.train()
    total = 0.0
    for step, index in enumerate(epoch_batches(len(train), config.batch_size, seed)):
        loss = _batch_loss(network, train, index, classes, config, (*seed, step))
        optimizer.zero_grad()
        if loss is not None:
            torch.autograd.backward([loss / len(index)])
            total += float(loss.detach())
        parallel.sum_gradients(network.parameters())
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return parallel.sum_value(total) / len(train)


def epoch_batches(count: int, size: int, seed: tuple[int, int]) -> Iterator[IntArray]:
    """Global batches of a seeded permutation; the last one may be smaller."""
    order = np.random.default_rng(seed).permutation(count)
    for start in range(0, count, size):
        yield order[start : start + size]


def _batch_loss(
    network: AttributorNetwork,
    train: StateSet,
    index: IntArray,
    classes: int,
    config: AttributorConfig,
    seed: tuple[int, int, int],
) -> Tensor | None:
    """Summed loss of this worker's rows of a global batch; None where it has none.

    Text with soft targets, plus each text's mean window loss.
    """
    mine = parallel.my_share([int(i) for i in index])
    if not mine:
        return None
    batch = mixed_batch(train, mine, classes, config.mixture_fraction, config.mixture_parts, seed)
    batch = batch.to(_device(network))
    out: NetworkOutput = network(batch.values, batch.lengths, _row_seeds(mine, seed))
    text = functional.cross_entropy(
        out.text, batch.targets, reduction="sum", label_smoothing=config.label_smoothing
    )
    windows = functional.cross_entropy(
        out.windows.transpose(1, 2), batch.window_targets, ignore_index=-1, reduction="none"
    )  # [B, W]
    per_text = windows.sum(dim=1) / batch.lengths
    return text + _WINDOW_WEIGHT * per_text.sum()


def _row_seeds(rows: Sequence[int], seed: tuple[int, int, int]) -> list[int]:
    """A seed for each row's dropout, from the step and the row alone."""
    return [int(np.random.SeedSequence([*seed, row]).generate_state(1)[0]) for row in rows]


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _record(
    progress: Progress,
    network: AttributorNetwork,
    optimizer: torch.optim.Optimizer,
    train_loss: float,
    val_loss: float,
    val_accuracy: float,
) -> None:
    progress.epoch += 1
    progress.network = {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}
    progress.optimizer = copy.deepcopy(optimizer.state_dict())
    progress.curve.append(
        {"train_loss": train_loss, "val_loss": val_loss, "val_accuracy": val_accuracy}
    )
    progress.stale += 1
    if val_loss < progress.best_loss:
        progress.best, progress.best_loss, progress.stale = progress.network, val_loss, 0
