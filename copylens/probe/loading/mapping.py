"""Weights that the workers of one machine share: the file's own pages in place of copies."""

from pathlib import Path
from typing import Any

import torch


def map_weights(model: Any, folder: Path) -> int:
    """Replaces the weights of a model on the CPU by views of its safetensors files.

    Only those that the file holds under the same name, with the same shape, type and values: what a
    load converts stays as it is in memory.

    Returns:
        Bytes that are mapped.
    """
    from safetensors import safe_open

    own = dict(model.named_parameters())
    mapped = 0
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            for name in own.keys() & set(weights.keys()):
                stored = weights.get_tensor(name)
                if stored.dtype == own[name].dtype and torch.equal(stored, own[name].data):
                    own[name].data = stored
                    mapped += stored.nbytes
    return mapped
