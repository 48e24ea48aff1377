"""What the LM itself thinks of each token: log-probability, entropy, rank."""

import torch
from torch import Tensor, nn

# Rows of the vocabulary head computed at once: 1,024 x 50,000 floats are 200 MB.
_ROWS = 1024


def token_likelihood(hidden: Tensor, ids: Tensor, head: nn.Module) -> Tensor:
    """Likelihood features of each token given those before it.

    Args:
        hidden: [B, T, D] last hidden states of a causal LM.
        ids: [B, T] token ids.
        head: the vocabulary head, [.., D] -> [.., V].

    Returns:
        [B, T, 3] float32: log-probability (nats, <= 0), entropy of the prediction (nats, >= 0),
        log(1 + rank) with rank 0 for the likeliest token. Position 0 has no prediction: zeros.
    """
    B, T, D = hidden.shape
    result = hidden.new_zeros(B, T, 3, dtype=torch.float32)
    if T < 2:
        return result
    context = hidden[:, :-1].reshape(-1, D)  # [B*(T-1), D]
    target = ids[:, 1:].reshape(-1)
    rows = [
        _row_features(head(context[i : i + _ROWS]), target[i : i + _ROWS])
        for i in range(0, len(context), _ROWS)
    ]
    result[:, 1:] = torch.cat(rows).reshape(B, T - 1, 3)
    return result


def _row_features(logits: Tensor, target: Tensor) -> Tensor:
    log_probs = torch.log_softmax(logits.float(), dim=-1)  # [N, V]
    chosen = log_probs.gather(1, target[:, None])  # [N, 1]
    entropy = -(log_probs.exp() * log_probs).sum(dim=1)
    rank = (log_probs > chosen).sum(dim=1)
    return torch.stack([chosen[:, 0], entropy, torch.log1p(rank.float())], dim=1)
