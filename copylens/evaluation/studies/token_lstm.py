"""The attributor over learned token embeddings: the same reader, but no LM behind it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from copylens.attributor.attention.dataset import StateSet
from copylens.attributor.attention.network import AttributorNetwork, NetworkOutput, NetworkShape
from copylens.attributor.attention.training import fit_network
from copylens.config.schema import RunConfig
from copylens.probe.chunks import tokenize
from copylens.probe.lm import LanguageModel
from copylens.records import FloatArray, IntArray


class TokenNetwork(AttributorNetwork):
    """Token ids -> embeddings, averaged per window -> the attributor network as it is.

    The windows are those of the states, so that the LSTM takes as many steps.
    """

    def __init__(self, shape: NetworkShape, vocabulary: int):
        super().__init__(shape)
        self.embed = nn.EmbeddingBag(
            vocabulary + 1, shape.features, mode="mean", padding_idx=vocabulary
        )

    def forward(
        self, values: Tensor, lengths: Tensor, seeds: Sequence[int] | None = None
    ) -> NetworkOutput:
        """Reads a padded batch of ids.

        Args:
            values: [B, W, w] token ids as float32; `vocabulary` fills up a last short window.
            lengths: [B] number of windows of each row.
            seeds: as in the attributor.
        """
        B, W, w = values.shape
        embedded = self.embed(values.long().reshape(B * W, w))  # [B * W, w] -> [B * W, E]
        return super().forward(embedded.reshape(B, W, -1), lengths, seeds)


def id_windows(ids: tuple[int, ...], window: int, pad: int) -> FloatArray:
    """Token ids cut into windows, [T] -> [W, w] float32; the last one is filled up with `pad`.

    Batches are float32, which holds ids up to 2 ** 24 exactly.
    """
    row = np.array(ids, dtype=np.float32)
    return np.pad(row, (0, -len(ids) % window), constant_values=pad).reshape(-1, window)


def token_set(lm: LanguageModel, texts: tuple[str, ...], labels: IntArray, window: int) -> StateSet:
    """The very tokens that the probe reads, in the place of its states."""
    pad = len(lm.tokenizer)
    ids = tokenize(lm, texts)
    return StateSet(tuple(id_windows(item.ids, window, pad) for item in ids), labels)


def fit_token_network(
    config: RunConfig, classes: int, vocabulary: int, train: StateSet, val: StateSet
) -> TokenNetwork:
    """Trains with the attributor's own losses, mixtures, epochs and early stopping.

    Args:
        vocabulary: number of token ids; the embeddings are as wide as the states' projection.
    """
    settings = config.attributor
    torch.manual_seed(config.seed)
    shape = NetworkShape(
        settings.projection, classes, settings.hidden, settings.projection, settings.dropout
    )
    network = TokenNetwork(shape, vocabulary)
    fit_network(train, val, classes, settings, config.seed, network=network)
    return network
