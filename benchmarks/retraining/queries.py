"""What the LMs are asked: held-out passages, and what an LM trained on everything writes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from copylens.corpus.sampling import shuffle_key
from copylens.records import FloatArray, Passage
from ray_jobs.demo.lm import END

_BATCH = 32
# Of a passage that the LM continues; enough to say which kind of text is wanted.
_PROMPT_TOKENS = 32
# A usual setting of services; at 1 so small an LM writes hardly a sentence of any kind.
_TEMPERATURE = 0.7


@dataclass(frozen=True)
class Query:
    """One text whose loss is measured under every LM.

    Attributes:
        text: no longer than what an LM reads at once.
        sub_dataset, group: where it is from; of a generated text, where its prompt is from.
        kind: `val`, `test` or `generated`; `held-out` or `written` where LMs are fine-tuned.
    """

    text: str
    sub_dataset: str
    group: str
    kind: str


def held_out(
    passages: Sequence[Passage], kind: str, each: int, tokenizer: Any, context: int, seed: int
) -> list[Query]:
    """The beginnings of so many passages of each sub-dataset, drawn at random."""
    return [
        Query(_beginning(p.text, tokenizer, context), p.sub_dataset, p.split_group, kind)
        for p in drawn(passages, each, seed)
    ]


def generated(
    model: Any,
    tokenizer: Any,
    passages: Sequence[Passage],
    each: int,
    context: int,
    seed: int,
) -> list[Query]:
    """What the LM writes after the first words of passages; the words themselves are left out.

    Sampled from the whole vocabulary, without an end before the context is full.
    """
    prompts = drawn(passages, each, seed)
    ids = [tokenizer(END + p.text)["input_ids"][:_PROMPT_TOKENS] for p in prompts]
    torch.manual_seed(seed)
    written = model.generate(
        torch.tensor(ids),
        do_sample=True,
        temperature=_TEMPERATURE,
        top_k=0,
        max_length=context,
        suppress_tokens=[tokenizer.eos_token_id],
        pad_token_id=tokenizer.eos_token_id,
    )
    texts = tokenizer.batch_decode(written[:, _PROMPT_TOKENS:], skip_special_tokens=True)
    return [
        Query(text, prompt.sub_dataset, prompt.split_group, "generated")
        for text, prompt in zip(texts, prompts)
    ]


@torch.inference_mode()
def losses(model: Any, tokenizer: Any, texts: Sequence[str], context: int) -> FloatArray:
    """Mean loss per token of each text's beginning, nats [Q]."""
    found = []
    for ids, kept in padded(tokenizer, texts, context):
        found.append(mean_losses(model, ids, kept))
    return torch.cat(found).double().numpy()


def mean_losses(model: Any, ids: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Mean loss per token of each row [B], over the tokens that count; see `padded`."""
    logits = model(input_ids=ids[:, :-1]).logits  # [B, T, V]
    each = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return (each.view_as(kept) * kept).sum(1) / kept.sum(1)


def padded(
    tokenizer: Any, texts: Sequence[str], context: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of token ids [B, T + 1], each text behind the end sign, and which count [B, T]."""
    for start in range(0, len(texts), _BATCH):
        rows = [
            tokenizer(END + text)["input_ids"][: context + 1]
            for text in texts[start : start + _BATCH]
        ]
        longest = max(map(len, rows))
        ids = torch.full((len(rows), longest), tokenizer.eos_token_id)
        kept = torch.zeros(len(rows), longest - 1)
        for n, row in enumerate(rows):
            ids[n, : len(row)] = torch.tensor(row)
            kept[n, : len(row) - 1] = 1
        yield ids, kept


def drawn(passages: Sequence[Passage], each: int, seed: int, skip: int = 0) -> list[Passage]:
    """So many of each sub-dataset, in the order of a hash of their ids, behind those skipped."""
    order = sorted(passages, key=lambda p: (p.sub_dataset, shuffle_key(seed, p.id)))
    names = np.array([p.sub_dataset for p in order])
    chosen = [np.flatnonzero(names == name)[skip : skip + each] for name in sorted(set(names))]
    return [order[i] for index in chosen for i in index]


def _beginning(text: str, tokenizer: Any, context: int) -> str:
    """As much of the text as `losses` reads."""
    offsets = tokenizer(text, return_offsets_mapping=True)["offset_mapping"][:context]
    return text[: offsets[-1][1]]
