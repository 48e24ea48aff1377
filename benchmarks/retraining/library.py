"""TrackStar as a library does it: bergson's, where it is installed (docs/causal.md says how).

Passes, hooks, random projections, second moments and their inverse root are all bergson's, with its
defaults but for two: losses are means per token, as everywhere in this check, and the second moment
is that of the training passages alone, which bergson advises where queries are drawn as they are.
Beside `trackstar` in gradients.py it has signs for Gaussian projections and one matrix per linear
layer. Its own commands leave the vocabulary head out; with and without are two settings here.
"""

import contextlib
import importlib.metadata
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.retraining.gradients import GradientIndex
from copylens.records import FloatArray
from ray_jobs.demo.lm import END

_BATCH = 32
"""Texts per pass, as in queries.py."""

ByLayer = dict[str, Tensor]
"""Linear layer -> gradients [N, F]."""


def missing() -> str | None:
    """Why the library cannot be used; None = it can."""
    try:
        with _aside():
            import bergson  # noqa: F401
    except ImportError as error:
        return str(error)
    return None


def version() -> str:
    """The library's own."""
    return importlib.metadata.version("bergson")


def collect(
    model: Any, tokenizer: Any, texts: Sequence[str], context: int, processor: Any, moments: bool
) -> ByLayer:
    """Gradients of each text's mean loss per token, for all linear layers and the vocabulary head.

    Args:
        processor: bergson's GradientProcessor, which says how to project.
        moments: the processor gets each layer's second moment over these texts.
    """
    from bergson import CollectorComputer, IndexConfig, InMemoryCollector
    from datasets import Dataset

    rows = [tokenizer(END + text)["input_ids"][: context + 1] for text in texts]
    data = Dataset.from_dict({"input_ids": rows})
    batches = [list(range(len(rows))[s : s + _BATCH]) for s in range(0, len(rows), _BATCH)]
    # As bergson's commands do: the outputs' gradients are wanted, the weights' own would cost time.
    model.requires_grad_(False)
    model.get_input_embeddings().requires_grad_(True)
    with tempfile.TemporaryDirectory() as folder, _aside():
        config = IndexConfig(run_path=str(Path(folder) / "run"), loss_reduction="mean")
        config.partial_run_path.mkdir()  # it writes a count of tokens there
        collector = InMemoryCollector(
            model=model, cfg=config, processor=processor, data=data, skip_hessians=not moments
        )
        computer = CollectorComputer(model, data, collector=collector, batches=batches, cfg=config)
        computer.run_with_collector_hooks(desc="gradients")
    return dict(collector.gradients)


@dataclass(frozen=True)
class TrackStar:
    """The training passages' gradients, ready to be compared with a query's.

    Attributes:
        read: texts -> their gradients, projected and divided by the root of the second moment.
        parts: part of the LM -> its layers and the index of their gradients.
    """

    read: Callable[[Sequence[str]], ByLayer]
    parts: dict[str, tuple[list[str], GradientIndex]]

    @classmethod
    def fit(
        cls, model: Any, tokenizer: Any, train: Sequence[str], context: int, width: int
    ) -> "TrackStar":
        """From the training passages, gradients projected to width x width per linear layer."""
        from bergson import GradientProcessor
        from bergson.hessians.preconditioner import DensePreconditioner

        known, asked = (GradientProcessor(projection_dim=width) for _ in range(2))
        collected = partial(collect, model, tokenizer, context=context)
        raw = collected(train, processor=known, moments=True)
        root = DensePreconditioner.from_processor(known, power=-0.5)
        rows, head = root.apply(raw), model.get_output_embeddings()
        inner = [name for name in rows if model.get_submodule(name) is not head]
        parts = {"all layers": list(rows), "without the head": inner}
        return cls(
            # A processor without moments: it would divide those it has once more on every pass.
            read=lambda texts: root.apply(collected(texts, processor=asked, moments=False)),
            parts={
                part: (layers, GradientIndex.fit(_flat(rows, layers), whiten=False))
                for part, layers in parts.items()
            },
        )

    def cosines(self, texts: Sequence[str]) -> dict[str, FloatArray]:
        """Part of the LM -> [Q, N] in [-1, 1]; > 0 = reading the passage lowers the loss."""
        rows = self.read(texts)
        return {
            part: index.cosines(_flat(rows, layers)) for part, (layers, index) in self.parts.items()
        }


def _flat(rows: ByLayer, layers: Sequence[str]) -> FloatArray:
    return torch.cat([rows[layer] for layer in layers], dim=1).numpy()


def _aside() -> contextlib.AbstractContextManager[Any]:
    """The library logs and prints to the output, whose last line is the benchmark's own."""
    return contextlib.redirect_stdout(sys.stderr)
