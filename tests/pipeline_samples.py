"""A small corpus that a pipeline can learn, made from word lists: no file, no network."""

import json
import random
from collections.abc import Mapping
from pathlib import Path

from copylens.config.load import build_config
from copylens.config.schema import RunConfig
from copylens.store.stages import STAGES

# What tests run that ask for no evidence.
WITHOUT_INDEX = tuple(stage for stage in STAGES if stage != "index")
WORDS = {
    "sea": "ship sail captain storm deck anchor wave harbour rope mast crew tide".split(),
    "law": "court judge appeal statute counsel verdict plaintiff ruling claim party".split(),
    "code": "function array index return loop string object class method value".split(),
}
OUTSIDE = "flour butter oven sugar dough whisk recipe bake salt cream spoon bowl".split()
COMMON = "the of and to in was that it for with on as at by this from or an".split()


def passage(words: list[str], rng: random.Random) -> str:
    sentences = []
    for _ in range(12):
        chosen = [rng.choice(words) if rng.random() < 0.3 else rng.choice(COMMON) for _ in range(9)]
        sentences.append(" ".join(chosen).capitalize() + ".")
    return " ".join(sentences)


def write_corpus(folder: Path, per_class: int = 40, words: Mapping[str, list[str]] = WORDS) -> None:
    """registered.jsonl and ood.jsonl, four passages to a group."""
    rng = random.Random(0)
    rows = []
    for name, own in words.items():
        for i in range(per_class):
            rows.append(
                {
                    "id": f"{name}-{i}",
                    "text": passage(own, rng),
                    "sub_dataset": name,
                    "holder": f"{name.title()} Press",
                    "license": "all rights reserved",
                    "split_group": f"{name}/{i // 4}",
                }
            )
    (folder / "registered.jsonl").write_text("\n".join(map(json.dumps, rows)))
    outside = [
        {
            "id": f"kitchen-{i}",
            "text": passage(OUTSIDE, rng),
            "sub_dataset": "kitchen",
            "split_group": f"kitchen/{i // 4}",
        }
        for i in range(per_class)
    ]
    (folder / "ood.jsonl").write_text("\n".join(map(json.dumps, outside)))


def tiny_config(folder: Path, lm: Path, **changes: object) -> RunConfig:
    """A config that runs every stage in seconds; `changes` are dotted keys."""
    values: dict = {
        "output": str(folder / "run"),
        "corpus": {
            "paths": [str(folder / "registered.jsonl")],
            "ood_paths": [str(folder / "ood.jsonl")],
            "shard_passages": 16,
        },
        "probe": {"model": str(lm), "window": 8, "dtype": "float32"},
        "attributor": {
            "reader": "lstm",
            "hidden": 16,
            "projection": 16,
            "epochs": 3,
            "batch_size": 16,
        },
        "detector": {"projector": True, "epochs": 3, "embedding": 8},
        "evaluation": {"encoder": str(lm)},
        "tracking": {
            "uri": f"sqlite:///{folder}/mlflow.db",
            # So few val passages allow no level of 0.05.
            "gates": {"conformal.smallest_p": "<= 0.2"},
        },
    }
    for key, value in changes.items():
        node = values
        *parents, last = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return build_config(values)
