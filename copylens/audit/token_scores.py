"""Log-probability of each token under an LM, with mean and deviation of its prediction."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from copylens.errors import ProbeError
from copylens.probe.chunks import batches, padded, tokenize
from copylens.probe.lm import LanguageModel
from copylens.probe.probe import OnPass, PassRead, ignore_pass
from copylens.records import FloatArray, IntArray

_FLOOR = -1e4
# Logits computed at once: many, so that the vocabulary's weights are read seldom. Of these, as many
# at once are worked on as stay in a core's cache. Either halves its part of the time (measured).
_LOGITS, _CACHED = 2**23, 2**20


@dataclass(frozen=True)
class TokenScores:
    """A text's tokens that have a prediction: all but the first, of an LM without a BOS token.

    Attributes:
        ids: [T].
        offsets: [T, 2] characters, end exclusive.
        log_probs: [T] log-probability, nats, <= 0.
        means: [T] expected log-probability under the prediction: minus its entropy, nats, <= 0.
        deviations: [T] standard deviation of the log-probability under the prediction, nats, >= 0.
    """

    ids: IntArray
    offsets: IntArray
    log_probs: FloatArray
    means: FloatArray
    deviations: FloatArray

    def __len__(self) -> int:
        return len(self.ids)


def token_scores(
    lm: LanguageModel, texts: Sequence[str], batch_tokens: int, on_pass: OnPass = ignore_pass
) -> list[TokenScores]:
    """Scores of each text's tokens, in order; long texts are read in overlapping chunks.

    Args:
        batch_tokens: padded tokens per forward pass.
        on_pass: called after each pass of the LM with what it has read.

    Raises:
        TextError: a text is empty or blank.
        ProbeError: the LM is an encoder: it predicts no next token.
    """
    head = lm.model.get_output_embeddings() if lm.architecture.causal else None
    if head is None:
        raise ProbeError("the audit needs an LM that predicts the next token; this one is none")
    tokens = tokenize(lm, texts)
    moments = [np.full((len(item.ids), 3), np.nan) for item in tokens]
    for batch in batches(lm, tokens, 1, batch_tokens):
        began = time.perf_counter()
        ids, mask = padded(batch, lm)
        for chunk, rows in zip(batch, _moments(lm, ids, mask, head)):
            start, end = chunk.keep
            moments[chunk.text][chunk.first : chunk.first + end - start] = rows[start:end]
        on_pass(PassRead.of(batch, tokens, time.perf_counter() - began))
    result = []
    for item, found in zip(tokens, moments):
        seen = ~np.isnan(found[:, 0])
        kept = np.asarray(item.ids, np.int32)[seen]
        result.append(TokenScores(kept, item.offsets[seen], *found[seen].T.astype(np.float32)))
    return result


@torch.inference_mode()
def _moments(lm: LanguageModel, ids: Tensor, mask: Tensor, head: nn.Module) -> FloatArray:
    """[B, T, 3] as `prediction_moments`; NaN where there is no prediction."""
    with lm.passing:
        hidden = lm.forward(ids, mask).last_hidden_state
    B, T, D = hidden.shape
    context, target = hidden[:, :-1].reshape(-1, D), ids[:, 1:].reshape(-1)  # [B*(T-1), D]
    size = head(context[:1]).shape[-1] if T > 1 else 1
    rows, few = (max(16, logits // size) for logits in (_LOGITS, _CACHED))
    found = [
        prediction_moments(logits, wanted)
        for some, aims in zip(torch.split(context, rows), torch.split(target, rows))
        for logits, wanted in zip(torch.split(head(some), few), torch.split(aims, few))
    ]
    moments = torch.cat([hidden.new_zeros(0, 3, dtype=torch.float32), *found]).cpu().numpy()
    shaped = moments.reshape(B, T - 1, 3)
    return np.pad(shaped, ((0, 0), (1, 0), (0, 0)), constant_values=np.nan)


def prediction_moments(logits: Tensor, target: Tensor) -> Tensor:
    """Log-probability of the tokens [N] under logits [N, V], with the mean and the standard
    deviation that log-probabilities have under the prediction itself: [N, 3].
    """
    # A masked word has a log-probability of minus infinity, and weight 0.
    log_probs = torch.log_softmax(logits.float(), dim=1).clamp(min=_FLOOR)
    weights = log_probs.exp()
    mean = (weights * log_probs).sum(dim=1)
    variance = (weights * (log_probs - mean[:, None]) ** 2).sum(dim=1)
    chosen = log_probs.gather(1, target[:, None])[:, 0]
    return torch.stack([chosen, mean, variance.sqrt()], dim=1)
