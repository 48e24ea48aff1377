"""Token states -> token codes: which word the attention states carry, told without its id.

Ours. The mean of a window throws away which words were used; a code per token keeps it. Codes
come from a linear discriminant analysis (LDA) between token ids on the LM's own states: a token
gets the code of the nearest centroid. No label of a sub-dataset is used, and ids only to fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor

from copylens.errors import ProbeError
from copylens.records import AnyArray, FloatArray, IntArray

NO_TOKEN, NAME_SIGN = 0, -1
"""Code 0 fills the last window up. A token of code c that is part of a name has the code -c."""

_DIMS = 160  # enough to read 85 % of a small LM's tokens; 200 gave 1 % more
_RIDGE = 1e-3  # of the mean variance, so that directions without any spread stay finite
_MIN_TOKENS = 3  # rarer ids have no trustworthy centroid
_MAX_CODES = 2**15 - 1  # int16, and the sign is taken
_SCORES = 2**19  # computed at once: what stays in a core's cache is searched twice as fast

FIT_WIDTH = 4096
"""Wider states are projected to about so many features for the fit, which squares them."""


@dataclass(frozen=True)
class ReadOut:
    """Nearest centroid in the LDA space, with the prior of each centroid.

    Attributes:
        projection: [F, Z] float32; F = the tapped layers side by side, Z dimensions whose
            within-id covariance is the identity.
        centroids: [C, Z] float32.
        bias: [C] float32, log-frequency less half the squared length of the centroid.
    """

    projection: Tensor
    centroids: Tensor
    bias: Tensor

    def to(self, device: torch.device) -> "ReadOut":
        """The same read-out where the LM computes."""
        return ReadOut(*(value.to(device) for value in vars(self).values()))

    def codes(self, states: Tensor) -> Tensor:
        """Codes 1..C of token states, [.., F] -> [..] int16."""
        return self.nearest(self.project(0, states))

    def project(self, place: int, states: Tensor) -> Tensor:
        """One layer's part of the projected states, [.., D] -> [.., Z] float32.

        The parts of all layers add up, so that a pass need not hold all layers' tokens at once.

        Args:
            place: of the layer among the tapped ones, from 0.
            states: that layer's.
        """
        D = states.shape[-1]
        rows = self.projection[place * D : (place + 1) * D]
        if len(rows) != D:
            raise ProbeError(
                f"the read-out was fitted on {len(self.projection)} features, and layer "
                f"{place + 1} of width {D} lies beyond; run embed again"
            )
        return states.float() @ rows

    def nearest(self, projected: Tensor) -> Tensor:
        """Codes [..] int16 of projected states [.., Z]."""
        flat = projected.reshape(-1, projected.shape[-1])
        rows = max(16, _SCORES // len(self.centroids))
        parts = [
            torch.addmm(self.bias, flat[i : i + rows], self.centroids.T).argmax(dim=1)
            for i in range(0, len(flat), rows)
        ]
        best = torch.cat(parts) + 1
        return best.to(torch.int16).reshape(projected.shape[:-1])

    def widened(self, matrices: Sequence[Tensor]) -> "ReadOut":
        """The same read-out for states that have not gone through these matrices.

        Args:
            matrices: one [D, P] per layer with the sum of P = F; none leaves all as it is.
        """
        if not matrices:
            return self
        parts = torch.split(self.projection, [m.shape[1] for m in matrices])
        return replace(self, projection=torch.cat([m @ part for m, part in zip(matrices, parts)]))

    def arrays(self) -> dict[str, AnyArray]:
        """Every parameter by name, for a safetensors file."""
        return {f"readout.{key}": value.cpu().numpy() for key, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, AnyArray]) -> "ReadOut | None":
        """The inverse of `arrays`; None where they hold no read-out."""
        if "readout.projection" not in arrays:
            return None
        names = ("projection", "centroids", "bias")
        return cls(*(torch.from_numpy(np.array(arrays[f"readout.{name}"])) for name in names))


class Scatter:
    """Sums over tokens that fix the LDA, so that no token states need to be kept.

    Memory: (F + V) * F numbers, whatever the number of tokens.
    """

    def __init__(self, features: int, vocabulary: int):
        self.count = torch.zeros(vocabulary, dtype=torch.float64)
        self.total = torch.zeros(vocabulary, features)
        self.square = torch.zeros(features, features, dtype=torch.float64)

    def add(self, states: Tensor, ids: Tensor) -> None:
        """Adds tokens: states [T, F] and ids [T]."""
        x = states.float().cpu()
        self.count += torch.bincount(ids.cpu(), minlength=len(self.count))
        self.total.index_add_(0, ids.cpu(), x)
        self.square += (x.T @ x).double()

    def readout(self) -> ReadOut:
        """Solves the LDA: the directions with the largest between-id scatter, within-id scatter 1.

        Raises:
            ProbeError: fewer than two token ids were seen.
        """
        count, total = self.count.numpy(), self.total.numpy().astype(np.float64)
        tokens = count.sum()
        if (count > 0).sum() < 2:
            raise ProbeError("the read-out needs at least two different tokens in the train split")
        mean = total.sum(axis=0) / tokens
        centres = total / np.maximum(count, 1)[:, None]
        between = (centres * (count / tokens)[:, None]).T @ centres - np.outer(mean, mean)
        covariance = self.square.numpy() / tokens - np.outer(mean, mean)
        F = len(mean)
        ridge = max(_RIDGE * float(np.trace(covariance)) / F, 1e-12)
        within = covariance - between + ridge * np.eye(F)
        kept = _frequent(count)
        Z = min(_DIMS, F)
        vectors = eigh(between, within, subset_by_index=(F - Z, F - 1))[1]
        # The sign of an eigenvector is anybody's: fixed, so that equal runs end in equal bytes.
        vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(Z)])
        projection = vectors[:, ::-1]
        centroids = (centres[kept] - mean) @ projection
        # The mean moves into the bias: |z - c|^2 / 2 up to a constant, z less the mean's place.
        prior = np.log(count[kept]) - (centroids**2).sum(axis=1) / 2
        shift = (mean @ projection) @ centroids.T
        return ReadOut(
            *(torch.from_numpy(a.copy()).float() for a in (projection, centroids, prior - shift))
        )


def _frequent(count: FloatArray) -> IntArray:
    """Ids that get a centroid: seen often enough, at most `_MAX_CODES`, in ascending order."""
    enough = np.flatnonzero(count >= min(_MIN_TOKENS, count.max()))
    order = np.argsort(-count[enough], kind="stable")[:_MAX_CODES]
    return np.sort(enough[order])
