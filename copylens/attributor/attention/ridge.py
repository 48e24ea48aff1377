"""Ridge regression on a text's mean state: the linear reader of the attention states, in one solve.

The normal equations are sums over passages: every worker adds up its share, and all of them solve
the same system. Time grows with the passages, memory with the square of the features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import Tensor, nn

from copylens.attributor.attention import parallel
from copylens.attributor.attention.dataset import StateSet
from copylens.attributor.attention.network import NetworkOutput, masked_mean
from copylens.attributor.folds import fold_index
from copylens.records import FloatArray, IntArray

# Of the mean squared length of a text's standardised features.
_RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_FOLDS = 5
_BLOCK = 1024
# Of the logarithms of sharpness and blur.
_BOUNDS = (-5.0, 6.0)
# Windows of the beginnings that the sharpness of short texts is learned on; 0: whole passages.
_BEGINNINGS = (1, 2, 4, 8, 0)


@dataclass(frozen=True)
class RidgeShape:
    """The sizes that fix the parameters; saved beside them."""

    features: int
    classes: int
    reader: str = "ridge"


class RidgeReader(nn.Module):
    """Standardised mean state -> logits; of a window likewise (ours; a linear probe).

    Logits are the regression's scores times sharpness * W / (W + blur), for a text of W windows:
    the fewer windows are averaged, the noisier the mean, and the less its scores say.
    """

    mean: Tensor
    scale: Tensor
    ridge: Tensor
    sharpness: Tensor
    blur: Tensor

    def __init__(self, shape: RidgeShape):
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.zeros(shape.features))
        self.register_buffer("scale", torch.ones(shape.features))
        self.register_buffer("ridge", torch.ones(()))
        self.register_buffer("sharpness", torch.ones(()))
        self.register_buffer("blur", torch.zeros(()))
        self.head = nn.Linear(shape.features, shape.classes)

    def forward(
        self, values: Tensor, lengths: Tensor, seeds: Sequence[int] | None = None
    ) -> NetworkOutput:
        """Reads a padded batch; see `AttributorNetwork.forward`. `seeds` has no effect."""
        mask = torch.arange(values.shape[1], device=values.device)[None, :] < lengths[:, None]
        x = (values - self.mean) / self.scale * mask[..., None]  # [B, W, F]
        pooled = masked_mean(x, mask)  # [B, F]
        text = self.head(pooled) * self._factor(lengths[:, None])
        windows = self.head(x) * mask[..., None] * self._factor(torch.ones(()))
        return NetworkOutput(text, windows, pooled)

    @property
    def settings(self) -> "RidgeSettings":
        """What was chosen when it was fitted."""
        return RidgeSettings(self.ridge.item(), self.sharpness.item(), self.blur.item())

    def _factor(self, windows: Tensor) -> Tensor:
        return self.sharpness * windows / (windows + self.blur)


@dataclass(frozen=True)
class RidgeSettings:
    """What is chosen on passages held out by group.

    Attributes:
        ridge: of the mean squared length of a text's standardised features.
        sharpness, blur: see `RidgeReader`.
    """

    ridge: float
    sharpness: float = 1.0
    blur: float = 0.0


def fit_ridge(
    train: StateSet, classes: int, seed: int, settings: RidgeSettings | None = None
) -> tuple[RidgeReader, float | None]:
    """Fits weights on all passages; the ridge, sharpness and blur on passages held out by group.

    Each fold of split groups is scored by a fit on the others, so what is chosen is chosen for
    works that the fit has not seen.

    Args:
        train: the same on every worker.
        classes: K.
        settings: as chosen on more passages, taken over: where a sub-dataset has but one group
            left, what an unseen work looks like cannot be learned.

    Returns:
        The reader, and its accuracy on the held-out passages, in [0, 1]; None if it chose nothing.
    """
    standard = Standard.of(train)
    every = NormalEquations.of(train, np.arange(len(train)), classes, standard)
    right = None
    if settings is None:
        settings, right = _chosen(train, every, seed)
    return every.reader(settings), right


@dataclass(frozen=True)
class Standard:
    """Mean and standard deviation of passages' mean states, each [F] float32."""

    mean: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, train: StateSet) -> "Standard":
        """Over the passages of all workers."""
        F = train.values[0].shape[1]
        sums = np.zeros((2, F))
        for i in parallel.my_share(range(len(train))):
            row = train.values[i].mean(axis=0, dtype=np.float64)
            sums += row, row**2
        mean, square = parallel.sum_array(sums) / len(train)
        deviation = np.sqrt(np.maximum(square - mean**2, 1e-8))
        return cls(mean.astype(np.float32), deviation.astype(np.float32))

    def pooled(self, train: StateSet, index: IntArray, first: int = 0) -> FloatArray:
        """Standardised mean states [N, F] float32 of passages, or of their first windows."""
        rows = []
        for i in index:
            values = train.values[int(i)]
            rows.append(values[: first or len(values)].mean(axis=0, dtype=np.float32))
        return np.asarray((np.stack(rows) - self.mean) / self.scale, np.float32)


@dataclass(frozen=True)
class NormalEquations:
    """The normal equations of some passages.

    Attributes:
        standard: how their features are standardised.
        squares: [F, F] sum of outer products of the features, float64.
        products: [F, K] features times one-hot targets.
        sums: [F] of the features.
        counts: [K] passages of each class.
    """

    standard: Standard
    squares: FloatArray
    products: FloatArray
    sums: FloatArray
    counts: FloatArray

    @classmethod
    def of(
        cls, train: StateSet, index: IntArray, classes: int, standard: Standard
    ) -> "NormalEquations":
        """Those of the passages at these positions, summed over all workers."""
        F = len(standard.mean)
        squares, products = np.zeros((F, F)), np.zeros((F, classes))
        sums, counts = np.zeros(F), np.zeros(classes)
        mine = np.array(parallel.my_share([int(i) for i in index]), np.int64)
        for start in range(0, len(mine), _BLOCK):
            rows = mine[start : start + _BLOCK]
            x = standard.pooled(train, rows)
            one_hot = np.eye(classes, dtype=np.float32)[train.labels[rows]]
            squares += x.T @ x
            products += x.T @ one_hot
            sums += x.sum(axis=0)
            counts += one_hot.sum(axis=0)
        parts = (squares, products, sums, counts)
        return cls(standard, *(parallel.sum_array(part) for part in parts))

    def without(self, other: "NormalEquations") -> "NormalEquations":
        """Those of the passages that `other` does not hold."""
        return NormalEquations(
            self.standard,
            self.squares - other.squares,
            self.products - other.products,
            self.sums - other.sums,
            self.counts - other.counts,
        )

    def reader(self, settings: RidgeSettings) -> RidgeReader:
        """The reader that solves them."""
        weight, bias = self.solve(settings.ridge)
        reader = RidgeReader(RidgeShape(len(weight), len(bias)))
        with torch.no_grad():
            reader.mean.copy_(torch.from_numpy(self.standard.mean))
            reader.scale.copy_(torch.from_numpy(self.standard.scale))
            reader.head.weight.copy_(torch.from_numpy(weight.T))
            reader.head.bias.copy_(torch.from_numpy(bias))
            for name, value in vars(settings).items():
                getattr(reader, name).fill_(value)
        return reader.eval().requires_grad_(False)

    def solve(self, ridge: float) -> tuple[FloatArray, FloatArray]:
        """Weights [F, K] and intercepts [K] of the least squares with a penalty."""
        share = self.counts / self.counts.sum()
        centred = self.products - np.outer(self.sums, share)
        penalised = self.squares.copy()
        penalised[np.diag_indices_from(penalised)] += ridge * len(penalised)
        factor = cho_factor(penalised, overwrite_a=True, check_finite=False)
        return np.asarray(cho_solve(factor, centred)), share


def _chosen(train: StateSet, every: NormalEquations, seed: int) -> tuple[RidgeSettings, float]:
    """The settings, and their accuracy on held-out passages.

    The weakest ridge whose cross-entropy, on whole passages whose group the fit has not seen, lies
    within a standard error of the least: a stronger one tells strangers worse (as it does when it
    is chosen on beginnings too). Sharpness and blur have the least on these and their beginnings.
    """
    standard, classes = every.standard, len(every.counts)
    folds = fold_index(train.labels, train.groups, _FOLDS, seed)
    scores: dict[float, list[FloatArray]] = {ridge: [] for ridge in _RIDGES}
    labels, windows, whole = [], [], []
    for fold in range(int(folds.max()) + 1):
        index = np.flatnonzero(folds == fold)
        rest = every.without(NormalEquations.of(train, index, classes, standard))
        solutions = {ridge: rest.solve(ridge) for ridge in _RIDGES}
        sizes = np.array([len(train.values[i]) for i in index])
        for first in _BEGINNINGS:
            x = standard.pooled(train, index, first)
            for ridge, (weight, bias) in solutions.items():
                scores[ridge].append(x @ weight + bias)
            labels.append(train.labels[index])
            windows.append(np.minimum(sizes, first) if first else sizes)
            whole.append(np.full(len(index), first == 0))
    y, W, all_of_it = np.concatenate(labels), np.concatenate(windows), np.concatenate(whole)
    told = {ridge: np.concatenate(parts) for ridge, parts in scores.items()}
    losses = {
        ridge: _sharpened(S[all_of_it], y[all_of_it], W[all_of_it])[0] for ridge, S in told.items()
    }
    ridge = weakest(losses)
    right = float((told[ridge].argmax(axis=1) == y)[all_of_it].mean())
    _, sharpness, blur = _sharpened(told[ridge], y, W)
    return RidgeSettings(ridge, sharpness, blur), right


def weakest(losses: Mapping[float, FloatArray]) -> float:
    """The smallest setting whose mean loss is within a standard error of the least one's.

    The rule of one standard error (Breiman et al. 1984), of paired differences, turned round.

    Args:
        losses: setting -> [N] losses of the same passages.
    """
    least = min(losses, key=lambda setting: losses[setting].mean())

    def within(setting: float) -> bool:
        more = losses[setting] - losses[least]
        return bool(more.mean() <= more.std() / np.sqrt(len(more)))

    return min(filter(within, losses))


def _sharpened(
    scores: FloatArray, labels: IntArray, windows: IntArray
) -> tuple[FloatArray, float, float]:
    """The cross-entropies [N] of held-out scores [N, K] in nats under the sharpness and blur with
    the least mean, and these.
    """
    rows = np.arange(len(labels))

    def losses(theta: FloatArray) -> FloatArray:
        sharpness, blur = np.exp(theta)
        log_p = log_softmax(scores * (sharpness * windows / (windows + blur))[:, None], axis=1)
        return np.asarray(-log_p[rows, labels])

    def mean(theta: FloatArray) -> float:
        return float(losses(theta).mean())

    best = minimize(mean, np.log([10.0, 1.0]), method="Nelder-Mead", bounds=[_BOUNDS] * 2).x
    sharpness, blur = map(float, np.exp(best))
    return losses(best), sharpness, blur
