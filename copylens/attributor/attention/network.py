"""The attributor network: window states -> logits of the text and of each window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn


class NetworkOutput(NamedTuple):
    """What one forward pass gives.

    Attributes:
        text: [B, K] logits of the whole text.
        windows: [B, W, K] logits per window; padding windows hold zeros.
        features: [B, Z] pooled representation that the detector builds on.
    """

    text: Tensor
    windows: Tensor
    features: Tensor


@dataclass(frozen=True)
class NetworkShape:
    """The sizes that fix the parameters; saved beside them."""

    features: int
    classes: int
    hidden: int
    projection: int
    dropout: float
    reader: str = "lstm"


class RowDropout(nn.Module):
    """Dropout whose draws belong to a row of the batch, not to its place or its neighbours.

    So a row loses the same features whichever worker reads it, and beside whatever other rows.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def drawn(self, lengths: Tensor, seeds: Sequence[int] | None) -> Callable[[Tensor], Tensor]:
        """A function to apply to [B, W, P] or [B, P]; each call draws anew. None: the identity."""
        if seeds is None or self.rate == 0:
            return lambda x: x
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]

        def apply(x: Tensor) -> Tensor:
            kept = torch.zeros(x.shape)
            for b, generator in enumerate(generators):
                # Padding draws nothing, so that a row's draws do not depend on the longest one.
                row = kept[b, : int(lengths[b])] if x.dim() == 3 else kept[b]
                row.copy_(torch.rand(row.shape, generator=generator) >= self.rate)
            return x * kept.to(x.device) / (1 - self.rate)

        return apply


class AttributorNetwork(nn.Module):
    """Projection -> LSTM over windows -> masked mean -> logits (Inner-Probe, stage 1).

    Ours: the moments of the states over the windows stand beside the LSTM in the text's head,
    because at a few thousand passages a linear view of them is the strongest single reader.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: NetworkShape):
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.zeros(shape.features))
        self.register_buffer("scale", torch.ones(shape.features))
        self.project = nn.Linear(shape.features, shape.projection)
        self.lstm = nn.LSTM(shape.projection, shape.hidden, batch_first=True)
        self.dropout = RowDropout(shape.dropout)
        self.window_head = nn.Linear(shape.hidden, shape.classes)
        self.moment_head = nn.Linear(2 * shape.features, shape.classes)

    def forward(
        self, values: Tensor, lengths: Tensor, seeds: Sequence[int] | None = None
    ) -> NetworkOutput:
        """Reads a padded batch.

        Args:
            values: [B, W, F] float32; what lies beyond a row's length is ignored.
            lengths: [B] number of windows of each row, >= 1.
            seeds: one per row, for the draws of dropout; None = no dropout.
        """
        dropout = self.dropout.drawn(lengths, seeds if self.training else None)
        mask = torch.arange(values.shape[1], device=values.device)[None, :] < lengths[:, None]
        x = (values - self.mean) / self.scale * mask[..., None]  # [B, W, F]
        h = dropout(nn.functional.gelu(self.project(x)))  # [B, W, F] -> [B, W, P]
        # The LSTM reads forward only, so padding on the right cannot reach a window that counts;
        # packing would cost three times as much on a CPU (measured).
        out, _ = self.lstm(h)  # [B, W, P] -> [B, W, H]
        moments = masked_moments(x, mask)  # [B, W, F] -> [B, 2F]
        pooled = masked_mean(out, mask)  # [B, W, H] -> [B, H]
        windows = self.window_head(dropout(out)) * mask[..., None]
        text = self.window_head(dropout(pooled)) + self.moment_head(dropout(moments))
        return NetworkOutput(text, windows, torch.cat([pooled, moments], dim=1))


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the windows that count: [B, W, F], [B, W] -> [B, F]."""
    weight = mask[..., None].to(x.dtype)
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def masked_moments(x: Tensor, mask: Tensor) -> Tensor:
    """Mean and standard deviation over the windows that count: [B, W, F] -> [B, 2F]."""
    mean = masked_mean(x, mask)
    variance = masked_mean((x - mean[:, None]) ** 2, mask)
    # The floor keeps the root's gradient finite for texts of a single window.
    return torch.cat([mean, (variance + 1e-6).sqrt()], dim=1)
