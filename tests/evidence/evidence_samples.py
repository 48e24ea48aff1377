"""Passages of invented words, so that nothing stands in two of them by chance."""

import random
from pathlib import Path

from copylens.records import Passage

SYLLABLES = "ba ce di fo gu ha je ki lo mu na pe qui ro su ta ve wi xo yu za".split()


def sentence(rng: random.Random, words: int) -> str:
    return " ".join("".join(rng.choices(SYLLABLES, k=3)) for _ in range(words))


def passage(sub_dataset: str, number: int, text: str) -> Passage:
    return Passage(
        id=f"{sub_dataset}-{number}",
        text=text,
        sub_dataset=sub_dataset,
        holder=f"{sub_dataset.title()} Press",
        license="all rights reserved",
        title=f"Volume {number} of {sub_dataset}",
        source_url=f"https://example.org/{sub_dataset}/{number}",
        split_group=f"{sub_dataset}/{number // 2}",
        split="train",
    )


def corpus(names: str = "alpha beta gamma", each: int = 12, seed: int = 0) -> list[Passage]:
    """Its passages do not depend on what other names are there."""
    made = []
    for name in names.split():
        rng = random.Random(f"{seed}:{name}")
        made += [passage(name, n, sentence(rng, 60)) for n in range(each)]
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
