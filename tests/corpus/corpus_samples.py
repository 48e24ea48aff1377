"""Small real files for the corpus tests."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

from copylens.config.load import build_config
from copylens.config.schema import RunConfig

SYLLABLES = ("ba", "ko", "ri", "tu", "me", "sa", "lo", "ne", "vi", "du", "pa", "shi")


def prose(key: object, chars: int = 300) -> str:
    """Words that depend on the key alone: two keys share no 5-grams to speak of."""
    source = random.Random(str(key))
    words: list[str] = []
    while sum(map(len, words)) + len(words) <= chars:
        words.append("".join(source.choices(SYLLABLES, k=source.randint(1, 4))))
    return " ".join(words)[:chars].strip()


def row(name: str, number: int, **more: Any) -> dict[str, Any]:
    """A good row: every one its own group, no split."""
    return {
        "id": f"{name}-{number}",
        "text": prose((name, number)),
        "sub_dataset": name,
        "holder": f"holder of {name}",
        "license": "CC0-1.0",
    } | more


def rows(*names: str, count: int = 10, **more: Any) -> list[dict[str, Any]]:
    return [row(name, number, **more) for name in names for number in range(count)]


def write_jsonl(path: Path, items: list[Any]) -> str:
    """Each item a row; bytes are written as they are. `.gz` is packed."""
    lines = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in items]
    data = b"".join(line + b"\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def config(output: Path, *paths: str, seed: int = 0, **corpus: Any) -> RunConfig:
    values = {"paths": list(paths)} | corpus
    return build_config({"output": str(output), "seed": seed, "corpus": values})


def quarantine(output: Path) -> list[dict[str, Any]]:
    text = (output / "corpus" / "quarantine.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
