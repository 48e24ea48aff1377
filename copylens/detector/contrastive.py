"""The contrastive losses of the detector's projector."""

import torch
from torch import Tensor
from torch.nn import functional


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy over two views (SimCLR, arXiv 2002.05709, eq. 1).

    Args:
        first, second: [B, Z] L2-normalised embeddings; row i of both comes from passage i.
        temperature: > 0.

    Returns:
        Scalar mean over the 2B anchors, nats.
    """
    B = len(first)
    both = torch.cat([first, second])  # [2B, Z]
    similarity = both @ both.T / temperature
    # An anchor is no candidate for itself.
    similarity = similarity.masked_fill(torch.eye(2 * B, dtype=torch.bool), float("-inf"))
    positive = torch.arange(2 * B).roll(B)
    return functional.cross_entropy(similarity, positive)


def supcon(embeddings: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss, positives outside the logarithm (arXiv 2004.11362, L_out).

    Args:
        embeddings: [N, Z] L2-normalised.
        labels: [N] int; rows with equal labels attract.
        temperature: > 0.

    Returns:
        Scalar mean over the anchors that have a positive, nats; 0 where none has.
    """
    N = len(embeddings)
    own = torch.eye(N, dtype=torch.bool)
    similarity = embeddings @ embeddings.T / temperature
    log_prob = similarity - similarity.masked_fill(own, float("-inf")).logsumexp(1, keepdim=True)
    positive = (labels[:, None] == labels[None, :]) & ~own
    count = positive.sum(dim=1)
    anchors = count > 0
    if not bool(anchors.any()):
        return embeddings.sum() * 0.0
    per_anchor = -(log_prob * positive).sum(dim=1)[anchors] / count[anchors]
    return per_anchor.mean()
