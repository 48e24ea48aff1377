"""A GPT-NeoX of a few million parameters, trained on the spot on a corpus' training split."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from copylens.records import IntArray

END = "<|endoftext|>"


@dataclass(frozen=True)
class LmRecipe:
    """Size and training of the LM; the defaults take about five minutes on two cores."""

    vocabulary: int = 4096
    context: int = 512
    width: int = 128
    layers: int = 4
    heads: int = 4
    steps: int = 1600
    batch: int = 8
    block: int = 256
    learning_rate: float = 3e-3


def train_lm(
    texts: Sequence[str],
    folder: Path,
    recipe: LmRecipe,
    seed: int,
    advance: Callable[[int], None] = lambda steps: None,
) -> dict[str, float]:
    """Trains tokenizer and LM on the texts and writes both as a Hugging Face folder.

    Args:
        texts: all that the LM will ever have read.
        folder: where model and tokenizer go.
        advance: called with the number of steps done since the last call.

    Returns:
        {"parameters", "tokens", "final_loss" (nats per token), "seconds"}.
    """
    start = time.perf_counter()
    tokenizer = train_tokenizer(texts, recipe)
    stream = np.concatenate(
        [np.array(tokenizer(text + END)["input_ids"], dtype=np.int64) for text in texts]
    )
    torch.manual_seed(seed)
    model = new_model(recipe, len(tokenizer))
    loss = fit_lm(model, random_blocks(stream, recipe, seed), recipe, advance)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {
        "parameters": float(sum(p.numel() for p in model.parameters())),
        "tokens": float(len(stream)),
        "final_loss": loss,
        "seconds": time.perf_counter() - start,
    }


def train_tokenizer(texts: Sequence[str], recipe: LmRecipe) -> Any:
    """Byte-level BPE on the texts, as a Hugging Face fast tokenizer."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        texts, vocab_size=recipe.vocabulary, special_tokens=[END], show_progress=False
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        eos_token=END,
        bos_token=END,
        model_max_length=recipe.context,
    )


def new_model(recipe: LmRecipe, vocabulary: int) -> Any:
    """An untrained GPT-NeoX of the recipe's size."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=vocabulary,
            hidden_size=recipe.width,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            intermediate_size=4 * recipe.width,
            max_position_embeddings=recipe.context,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def random_blocks(stream: IntArray, recipe: LmRecipe, seed: int) -> Iterator[IntArray]:
    """Batches [B, T + 1] for every step, each row a random stretch of the stream of tokens."""
    generator = np.random.default_rng(seed)
    for _ in range(recipe.steps):
        starts = generator.integers(0, len(stream) - recipe.block, recipe.batch)
        yield np.stack([stream[s : s + recipe.block + 1] for s in starts])


def fit_lm(
    model: Any,
    batches: Iterable[IntArray],
    recipe: LmRecipe,
    advance: Callable[[int], None] = lambda steps: None,
) -> float:
    """One-cycle AdamW over `recipe.steps` batches; the mean loss of the last tenth of the steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
    )
    losses = []
    model.train()
    for batch in batches:
        ids = torch.from_numpy(batch)
        logits = model(input_ids=ids[:, :-1]).logits  # [B, T, V]
        loss = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        torch.autograd.backward([loss])
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        advance(1)
    model.eval()
    return float(np.mean(losses[-max(1, recipe.steps // 10) :]))
