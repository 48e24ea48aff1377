"""Fine-tuning with LoRA: an adapter for the LM that has read chosen passages so many times."""

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.finetuned.plan import Recipe
from copylens.config.schema import ProbeConfig, fingerprint
from copylens.probe.lm import LanguageModel, load_language_model
from copylens.probe.loading.identity import lm_hash
from copylens.records import IntArray
from copylens.store import storage
from copylens.store.markers import is_published, mark

_EVERY = 25
"""Steps after which the state of the training is kept: a killed one goes on from there."""
_WARM_UP = 0.1
_IGNORED = -100

Told = Callable[[dict[str, object]], None]


def fine_tuned(folder: Path, texts: Sequence[str], recipe: Recipe, tell: Told) -> Path:
    """The adapter's folder, made unless it stands there.

    Args:
        texts: the first `recipe.repeated` of them are read `recipe.repeats` times.
    """
    key = fingerprint(asdict(recipe), lm_hash(ProbeConfig(model=recipe.model)), list(texts))
    where = folder / key
    weights = str(where / "adapter_model.safetensors")
    if is_published(weights, key):
        return where
    torch.set_num_threads(1)
    lm = load_language_model(ProbeConfig(model=recipe.model))
    model = _with_lora(lm, recipe)
    loss = _Training(model, _rows(lm, texts, recipe), recipe, where / "training.pt").run(tell)
    model.save_pretrained(where)
    mark(weights, key, {"passages": len(texts), "final_loss": loss})
    (where / "training.pt").unlink(missing_ok=True)
    return where


def schedule(recipe: Recipe, passages: int) -> list[IntArray]:
    """Positions of the passages of each step: every one as often as the recipe says, its readings
    spread evenly over the training.
    """
    rng = np.random.default_rng(recipe.seed)
    times = [recipe.repeats if n < recipe.repeated else recipe.passes for n in range(passages)]
    places = [((k + rng.random()) / t, n) for n, t in enumerate(times) for k in range(t)]
    flat = np.array([n for _, n in sorted(places)], np.int64)
    return [flat[start : start + recipe.batch] for start in range(0, len(flat), recipe.batch)]


class _Training:
    """The loop, and its state on disk."""

    def __init__(self, model: Any, rows: Sequence[list[int]], recipe: Recipe, kept: Path):
        self._model, self._rows, self._recipe, self._kept = model, rows, recipe, kept
        self._steps = schedule(recipe, len(rows))
        self._weights = [p for p in model.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(self._weights, lr=recipe.rate, weight_decay=0.0)
        warm, steps = max(1, int(_WARM_UP * len(self._steps))), len(self._steps)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda n: min((n + 1) / warm, (steps - n) / (steps - warm + 1))
        )

    def run(self, tell: Told) -> float:
        """Trains to the end; returns the loss of the last step, nats per token."""
        losses: list[float] = []
        for number in range(self._resumed(), len(self._steps)):
            loss = self._loss(self._steps[number])
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
            self._optimizer.step()
            self._optimizer.zero_grad()
            self._schedule.step()
            losses.append(float(loss.detach()))
            if (number + 1) % _EVERY == 0:
                self._keep(number + 1)
                mean = sum(losses[-_EVERY:]) / len(losses[-_EVERY:])
                tell({"step": number + 1, "of": len(self._steps), "loss": round(mean, 3)})
        return losses[-1] if losses else float("nan")

    def _loss(self, index: IntArray) -> Tensor:
        rows = [torch.tensor(self._rows[n]) for n in index]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        labels = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=_IGNORED)
        # Padding stands behind all tokens of a causal LM, so none of them sees it.
        loss: Tensor = self._model(input_ids=ids, labels=labels, use_cache=False).loss
        return loss

    def _keep(self, step: int) -> None:
        buffer = io.BytesIO()
        state = {
            "step": step,
            "weights": [weights.data for weights in self._weights],
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
        }
        torch.save(state, buffer)
        storage.write_bytes(str(self._kept), buffer.getvalue())

    def _resumed(self) -> int:
        """The step to go on with."""
        if not self._kept.exists():
            return 0
        state = torch.load(self._kept, weights_only=True)
        for weights, kept in zip(self._weights, state["weights"], strict=True):
            weights.data.copy_(kept)
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        return int(state["step"])


def _with_lora(lm: LanguageModel, recipe: Recipe) -> Any:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(recipe.seed)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=2 * recipe.rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(lm.model, config).train()


def _rows(lm: LanguageModel, texts: Sequence[str], recipe: Recipe) -> list[list[int]]:
    found = lm.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return [[*lm.prefix, *ids[: recipe.tokens]] for ids in found]
