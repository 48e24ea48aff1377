"""The LMs: equal parts of every sub-dataset in blocks of tokens, one model per half of them.

All LMs share tokenizer, first weights, number of steps and, block by block, their place in the
order of training: what sets two of them apart is what they have read, and little else.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.retraining.plan import Plan
from copylens.config.schema import fingerprint
from copylens.corpus.sampling import shuffle_key
from copylens.errors import CorpusError
from copylens.records import IntArray, Passage
from copylens.store import storage
from copylens.store.markers import is_published, mark
from ray_jobs.demo.lm import END, fit_lm, new_model, train_tokenizer


@dataclass(frozen=True)
class Reading:
    """What there is to read.

    Attributes:
        names: the K sub-datasets.
        blocks: [K, N, T + 1] token ids; a block's last token is the next one's first.
        read: ids of the passages that lie in the blocks whole or in part.
        sha256: of tokenizer and blocks.
    """

    names: tuple[str, ...]
    blocks: IntArray
    read: frozenset[str]
    sha256: str


def tokenizer_of(folder: str, train: Sequence[Passage], plan: Plan) -> Any:
    """The one tokenizer of all LMs, trained on all of train when it is first asked for."""
    from transformers import PreTrainedTokenizerFast

    where = storage.join(folder, "tokenizer")
    if not storage.exists(storage.join(where, "tokenizer_config.json")):
        texts = [passage.text for passage in train]
        train_tokenizer(texts, plan.recipe).save_pretrained(where)
    return PreTrainedTokenizerFast.from_pretrained(where)


def reading_of(train: Sequence[Passage], tokenizer: Any, plan: Plan) -> Reading:
    """Cuts as many blocks from each sub-dataset, its passages in a random order of their ids.

    Raises:
        CorpusError: a sub-dataset is too small for so many blocks.
    """
    names = tuple(sorted({passage.sub_dataset for passage in train}))
    T, blocks, read = plan.recipe.block, [], set()
    for name in names:
        own = [passage for passage in train if passage.sub_dataset == name]
        own.sort(key=lambda passage: shuffle_key(plan.seed, passage.id))
        stream: list[int] = []
        for passage in own:
            if len(stream) > plan.blocks * T:
                break
            stream += tokenizer(passage.text + END)["input_ids"]
            read.add(passage.id)
        if len(stream) <= plan.blocks * T:
            raise CorpusError(
                f"'{name}' has {len(stream):,} tokens in train, {plan.blocks} blocks of {T} need "
                "more; lower --blocks"
            )
        starts = np.arange(plan.blocks) * T
        blocks.append(np.stack([stream[s : s + T + 1] for s in starts]))
    stacked = np.stack(blocks).astype(np.int64)
    vocabulary = tokenizer.backend_tokenizer.to_str().encode()
    return Reading(names, stacked, frozenset(read), storage.sha256(vocabulary + stacked.tobytes()))


def batches(reading: Reading, members: Sequence[int], plan: Plan) -> Iterator[IntArray]:
    """[B, T + 1] for every step of an LM that reads these sub-datasets.

    Each block has one place in a random order per pass, the same for every LM that reads it.
    """
    K, N = reading.blocks.shape[:2]
    B = plan.recipe.batch
    for number in range(plan.passes):
        order = np.random.default_rng((plan.seed, number)).permutation(K * N)
        mine = order[np.isin(order // N, members)]
        for start in range(0, len(mine) - B + 1, B):
            chosen = mine[start : start + B]
            yield reading.blocks[chosen // N, chosen % N]


def train_one(
    folder: str,
    members: Sequence[int],
    reading: Reading,
    plan: Plan,
    advance: Callable[[int], None] = lambda steps: None,
) -> str:
    """Trains the LM of these sub-datasets unless it stands in its folder; returns the folder."""
    key = fingerprint(plan.to_dict(), reading.sha256, list(map(int, members)))
    where = storage.join(folder, "lms", key)
    weights = storage.join(where, "model.safetensors")
    if is_published(weights, key):
        return where
    torch.manual_seed(plan.seed)
    model = new_model(plan.recipe, plan.recipe.vocabulary)
    steps = plan.passes * (len(members) * plan.blocks // plan.recipe.batch)
    loss = fit_lm(
        model, batches(reading, members, plan), replace(plan.recipe, steps=steps), advance
    )
    model.save_pretrained(where)
    names = [reading.names[k] for k in members]
    mark(weights, key, {"sub_datasets": names, "steps": steps, "final_loss": loss})
    return where


def load_lm(where: str) -> Any:
    """A trained LM, ready to read."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(Path(where)).eval()
