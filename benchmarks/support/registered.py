"""What the evidence benchmarks register, and the texts that they trace."""

import gzip
import json
import os
import random
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from copylens.corpus.cutting import cut_text
from copylens.corpus.sources.distributions import open_distribution
from copylens.errors import CorpusError
from copylens.records import Passage
from copylens.store.installed import canonical

MOST_OF_ONE = 4_000_000
SPEED_CHARS, SPEED_TEXTS = 2_000, 400


def development(split: str) -> list[Passage]:
    """Passages of the development corpora; without them the benchmark ends in one line."""
    folder = Path(os.environ.get("COPYLENS_SHARED", "../shared")) / "data"
    if not folder.is_dir():
        print(f"error: no corpora in '{folder}'; set COPYLENS_SHARED", file=sys.stderr)
        raise SystemExit(2)
    keys = set(Passage.__dataclass_fields__)
    found = []
    for name in ("books", "sources"):
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows = (json.loads(line) for line in lines)
            found += [
                Passage(**{key: row[key] for key in keys}) for row in rows if row["split"] == split
            ]
    return found


def source_code(most_bytes: int) -> Iterator[Passage]:
    """Passages of installed distributions, until there are so many bytes."""
    total = 0
    for name in sorted({canonical(str(d.metadata["Name"])) for d in metadata.distributions()}):
        own = 0
        for passage in _distribution(name):
            own += len(passage.text.encode())
            if own > MOST_OF_ONE:
                break
            total += len(passage.text.encode())
            if total > most_bytes:
                return
            yield passage


def _distribution(name: str) -> Iterator[Passage]:
    try:
        source = open_distribution(f"dist://{name}")
    except CorpusError:
        return
    for row in source.rows():
        if row.problem:
            continue
        values = row.values
        for number, text in enumerate(cut_text(values["text"], 1600)):
            if len(text) >= 100:
                rights = {key: values[key] for key in ("holder", "license", "title", "source_url")}
                yield Passage(
                    id=f"{values['id']}#{number}",
                    text=text,
                    sub_dataset=name,
                    split_group=values["split_group"],
                    split="train",
                    **rights,
                )


def speed_texts(passages: list[Passage], hosts: list[Passage], seed: int) -> list[str]:
    """Texts of 2,000 characters: half of registered passages (so all of it is found, mostly code),
    half of passages that are not registered.
    """
    rng = random.Random(seed)
    texts = []
    for pool in (passages, hosts):
        for _ in range(SPEED_TEXTS // 2):
            text = ""
            while len(text) < SPEED_CHARS:
                text += rng.choice(pool).text + "\n"
            texts.append(text[:SPEED_CHARS])
    return texts
