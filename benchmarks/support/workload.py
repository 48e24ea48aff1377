"""Texts and LMs that every machine has: the standard library's sources, random weights."""

import json
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import torch

TINY_LM = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
"""For runs that only show that a benchmark works: no figure of it means anything."""
_CHARS = 1600
_VOCABULARY = 8192
_CONTEXT = 512


def standard_library(count: int) -> list[str]:
    """So many stretches of 1,600 characters; where there are fewer, they start over, marked."""
    root = Path(sysconfig.get_paths()["stdlib"])
    found: list[str] = []
    for path in sorted(root.rglob("*.py")):
        if "site-packages" in path.parts:
            continue
        source = path.read_text(encoding="utf-8", errors="ignore")
        found += [source[i : i + _CHARS] for i in range(0, len(source) - _CHARS, _CHARS)]
        if len(found) >= count:
            break
    return [f"# {n // len(found)}\n{found[n % len(found)]}" for n in range(count)]


def save_lm(folder: Path, texts: Sequence[str], size: dict[str, int]) -> str:
    """A GPT-NeoX of that size with random weights and a byte-level BPE of the texts."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import AutoModelForCausalLM, GPTNeoXConfig, PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        texts[:500], vocab_size=_VOCABULARY, special_tokens=["<|end|>"], show_progress=False
    )
    PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, eos_token="<|end|>", pad_token="<|end|>"
    ).save_pretrained(folder)
    config = GPTNeoXConfig(
        vocab_size=_VOCABULARY,
        intermediate_size=4 * size["hidden_size"],
        max_position_embeddings=_CONTEXT,
        **size,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return str(folder)


def write_corpus(path: Path, texts: Sequence[str]) -> str:
    """Two sub-datasets, two passages to a split group, as JSON lines."""
    rows = [
        {
            "id": f"p{n:06d}",
            "text": text,
            "sub_dataset": ("even", "odd")[n // 2 % 2],
            "holder": "PSF",
            "license": "PSF",
            "split_group": f"g{n // 2}",
        }
        for n, text in enumerate(texts)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)
