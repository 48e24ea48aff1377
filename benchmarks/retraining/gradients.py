"""A small gradient method: projected gradients of the loss, compared by their cosine.

The gradient of one text's mean loss with respect to a linear layer is sum_t d_t a_t', with a_t the
layer's input and d_t the gradient of its output. It is projected on both sides by fixed random
matrices, P_o' (sum_t d_t a_t') P_i, without ever being formed (LoGra, Choe et al., arXiv
2405.13954). With `whiten` the gradients are first divided by the root of their second moment over
the training passages, as TrackStar does (Chang et al., arXiv 2410.17413; there one matrix per
task and an optimiser's moments besides, here neither). What reading a passage does to a query's
loss is then, to first order and up to scale, the cosine of both: > 0 = it lowers it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.retraining.queries import mean_losses, padded
from copylens.records import FloatArray

DAMPING = 0.1
"""Of the second moment's mean eigenvalue; what a direction must have to count."""


@dataclass(frozen=True)
class Projections:
    """Both sides' matrices per linear layer: [O, p] for its output, [I, p] for its input."""

    sides: dict[str, tuple[Tensor, Tensor]]

    @classmethod
    def random(cls, model: nn.Module, width: int, seed: int) -> "Projections":
        """Gaussian, variance 1 / p, so that inner products keep their mean."""
        generator = torch.Generator().manual_seed(seed)

        def matrix(size: int) -> Tensor:
            return torch.randn(size, width, generator=generator) / width**0.5

        return cls(
            {
                name: (matrix(layer.out_features), matrix(layer.in_features))
                for name, layer in linear_layers(model).items()
            }
        )


def linear_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """All linear layers by name, the vocabulary head included."""
    return {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear)}


def gradients(
    model: Any, tokenizer: Any, texts: Sequence[str], context: int, projections: Projections
) -> FloatArray:
    """Projected gradients of each text's mean loss per token, [N, layers * p * p].

    Texts are read by the batch: their losses do not touch each other, so neither do the gradients.
    """
    found = []
    for ids, kept in padded(tokenizer, texts, context):
        with _recording(model, projections) as records:
            torch.autograd.backward([mean_losses(model, ids, kept).sum()])
        blocks = [
            torch.einsum("bto,bti->boi", records.outputs[name], records.inputs[name]).flatten(1)
            for name in projections.sides
        ]
        found.append(torch.cat(blocks, dim=1))
    return torch.cat(found).numpy()


@dataclass
class _Records:
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)


@contextmanager
def _recording(model: nn.Module, projections: Projections) -> Iterator[_Records]:
    """Within it each linear layer's projected input and output gradient are noted, [B, T, p]."""
    records, handles = _Records(), []
    for name, layer in linear_layers(model).items():
        if name not in projections.sides:
            continue
        out_side, in_side = projections.sides[name]

        def forward(layer: Any, args: Any, name: str = name, side: Tensor = in_side) -> None:
            records.inputs[name] = args[0].detach() @ side

        def backward(
            layer: Any, into: Any, out: Any, name: str = name, side: Tensor = out_side
        ) -> None:
            records.outputs[name] = out[0] @ side

        handles.append(layer.register_forward_pre_hook(forward))
        handles.append(layer.register_full_backward_hook(backward))
    trainable = [p for p in model.parameters() if p.requires_grad]
    # Only the outputs' gradients are wanted: the weights' own would cost a third of the pass. The
    # embeddings keep theirs, or nothing would ask for a gradient at all.
    frozen = [p for p in trainable if p is not model.get_input_embeddings().weight]  # type: ignore
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield records
    finally:
        for handle in handles:
            handle.remove()
        for parameter in frozen:
            parameter.requires_grad_(True)
        model.zero_grad(set_to_none=True)


@dataclass(frozen=True)
class GradientIndex:
    """Projected gradients of the training passages, ready to be compared with a query's.

    Attributes:
        rows: [N, F] of unit length.
        root: [F, F] inverse root of the second moment; None = gradients as they are.
    """

    rows: FloatArray
    root: FloatArray | None

    @classmethod
    def fit(cls, raw: FloatArray, whiten: bool) -> "GradientIndex":
        """From the training passages' projected gradients [N, F]."""
        root = inverse_root(raw) if whiten else None
        return cls(_unit(raw if root is None else raw @ root), root)

    def cosines(self, raw: FloatArray) -> FloatArray:
        """[Q, F] projected gradients of queries -> [Q, N] in [-1, 1]."""
        return _unit(raw if self.root is None else raw @ self.root) @ self.rows.T


def inverse_root(raw: FloatArray) -> FloatArray:
    """(second moment + damping)^(-1/2), [N, F] -> [F, F]."""
    values, vectors = np.linalg.eigh(raw.T.astype(np.float64) @ raw / len(raw))
    scale = 1 / np.sqrt(np.maximum(values, 0) + DAMPING * values.mean())
    return np.asarray((vectors * scale) @ vectors.T, np.float32)


def _unit(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30))
