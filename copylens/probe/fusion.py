"""Token states -> windows -> one vector per window."""

from collections.abc import Sequence

import torch
from torch import Tensor

from copylens.config.schema import Fusion


def window_index(length: int, keep: Sequence[tuple[int, int]], window: int) -> Tensor:
    """Window number of every position; -1 where the position is not kept.

    Args:
        length: T, positions per row.
        keep: per row the positions [start, end) that count.
        window: tokens per window.

    Returns:
        [B, T] int64.
    """
    position = torch.arange(length)[None, :]
    start = torch.tensor([k[0] for k in keep])[:, None]
    end = torch.tensor([k[1] for k in keep])[:, None]
    inside = (position >= start) & (position < end)
    return torch.where(inside, (position - start) // window, -1)


def window_mean(values: Tensor, index: Tensor, windows: int) -> Tensor:
    """Mean over the tokens of each window.

    Args:
        values: [B, T, D].
        index: [B, T] window numbers, -1 = ignore.
        windows: W, so that every feature of a batch has the same number of windows.

    Returns:
        [B, W, D] float32; windows without a token are zero.
    """
    B, T, D = values.shape
    W = windows
    # Ignored positions go to one extra window per row, which is then dropped.
    slot = torch.where(index >= 0, index, W) + torch.arange(B, device=index.device)[:, None] * (
        W + 1
    )
    total: Tensor = values.new_zeros(B * (W + 1), D, dtype=torch.float32)
    total.index_add_(0, slot.reshape(-1), values.reshape(B * T, D).float())
    count: Tensor = torch.bincount(slot.reshape(-1), minlength=B * (W + 1)).clamp(min=1)
    mean = torch.div(total, count[:, None]).reshape(B, W + 1, D)  # one row too many per text
    return mean[:, :W]


def random_projection(width: int, dim: int, seed: int, layer: int) -> Tensor:
    """Fixed Gaussian projection [D, P] with variance 1/P, so that lengths are kept on average.

    Johnson-Lindenstrauss; seeded per layer, so workers and later runs agree.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + layer)
    return torch.randn(width, dim, generator=generator).div(dim**0.5)


def fuse_layers(layers: Sequence[Tensor], fusion: Fusion, projections: Sequence[Tensor]) -> Tensor:
    """Joins the layers' windows.

    Args:
        layers: L tensors [B, W, D].
        fusion: `concat` -> F = L*D, `mean` -> F = D, `project` -> F = L*P.
        projections: L matrices [D, P] for `project`, otherwise empty.

    Returns:
        [B, W, F].
    """
    if fusion == "mean":
        return torch.stack(list(layers)).mean(dim=0)
    if fusion == "project":
        layers = [layer @ matrix for layer, matrix in zip(layers, projections)]
    return torch.cat(list(layers), dim=-1)
