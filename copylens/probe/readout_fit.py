"""Fits the read-out on a sample of passages."""

from collections.abc import Sequence

import torch

from copylens.errors import ProbeError
from copylens.probe.fusion import random_projection
from copylens.probe.probe import Probe
from copylens.probe.readout import FIT_WIDTH, ReadOut, Scatter


def fit_readout(probe: Probe, texts: Sequence[str], seed: int) -> ReadOut:
    """LDA between token ids on the probe's tapped layers side by side.

    Layers too wide for the scatter matrix go through a fixed random projection each, which is
    folded into the result: whoever uses the read-out need not know of it.

    Raises:
        ProbeError: there are no texts, or fewer than two different tokens in them.
    """
    if not texts:
        raise ProbeError("the read-out needs texts of the train split to be fitted on")
    vocabulary = probe.lm.model.get_input_embeddings().num_embeddings
    L = len(probe.layers)
    scatter: Scatter | None = None
    matrices: list[torch.Tensor] = []
    for layers, ids in probe.token_states(texts):
        D = layers[0].shape[-1]
        if L * D > FIT_WIDTH and not matrices:
            narrow = max(1, FIT_WIDTH // L)
            matrices = [random_projection(D, narrow, seed, n).to(ids.device) for n in probe.layers]
        if matrices:
            layers = [x.float() @ matrix for x, matrix in zip(layers, matrices)]
        states = torch.cat([x.float() for x in layers], dim=-1)  # L x [T, D] -> [T, F]
        if scatter is None:
            scatter = Scatter(states.shape[1], vocabulary)
        scatter.add(states, ids)
    assert scatter is not None  # every text gives a token, or `tokenize` refuses it
    readout = scatter.readout()
    return readout.widened([matrix.cpu() for matrix in matrices])
