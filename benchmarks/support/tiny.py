"""What every benchmark can be run on in seconds: corpora, LMs of random weights, a finished run.

No figure that comes of it means anything.
"""

import gzip
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.audit import LMS, UNREAD
from benchmarks.support.workload import TINY_LM, save_lm
from copylens.config.load import build_config
from copylens.config.schema import RunConfig

# Of each sub-dataset's split groups, in turns.
_SPLITS = ("train", "train", "train", "val", "test")
_GROUP = 4
_BOOKS, _SOURCES = (*UNREAD[:5], "a_read_author"), UNREAD[5:]


@dataclass(frozen=True)
class Places:
    """Where things lie.

    Attributes:
        shared: laid out as $COPYLENS_SHARED: data/NAME.jsonl.gz, data/NAME_ood.jsonl.gz, models/LM;
            and data/pair.jsonl.gz, two sub-datasets with passages enough for `benchmarks.causal`.
        run: the output of `copylens run` on data/sources.jsonl.gz.
        folder: for what the benchmarks write.
    """

    shared: Path
    run: Path
    folder: Path


def make(folder: Path) -> Places:
    """Writes the corpora and the LMs, and runs every stage."""
    places = Places(folder / "shared", folder / "run", folder)
    data, models = places.shared / "data", places.shared / "models"
    data.mkdir(parents=True)
    names = {
        "books": _BOOKS,
        "books_ood": ("another_author",),
        "sources": _SOURCES,
        "sources_ood": ("another_source",),
    }
    for name, sub_datasets in names.items():
        _write(data / f"{name}.jsonl.gz", sub_datasets)
    _write(data / "pair.jsonl.gz", _SOURCES[:2], groups=50)
    texts = [_text(name, n) for name in (*_BOOKS, *_SOURCES) for n in range(40)]
    for name in LMS:
        save_lm(models / name, texts, TINY_LM)
    config = _config(places, models / LMS[0])
    (folder / "run.yaml").write_text(config.to_yaml())
    words = [sys.executable, "-m", "ray_jobs.pipeline", "--config", str(folder / "run.yaml")]
    subprocess.run(words, check=True, stdout=sys.stderr)
    return places


def _write(path: Path, sub_datasets: Sequence[str], groups: int = 10) -> None:
    """Rows with every field of a passage; OOD rows, whose file's name says so, have no split."""
    rows = []
    for name in sub_datasets:
        for n in range(groups * _GROUP):
            group = n // _GROUP
            row = {
                "id": f"{name}-{n:03d}",
                "text": _text(name, n),
                "sub_dataset": name,
                "holder": f"{name} Press",
                "license": "all rights reserved",
                "title": f"Volume {group}",
                "source_url": "",
                "split_group": f"{name}/{group}",
            }
            if "_ood" not in path.name:
                row["split"] = _SPLITS[group % len(_SPLITS)]
            rows.append(json.dumps(row))
    path.write_bytes(gzip.compress("\n".join(rows).encode()))


def _text(sub_dataset: str, number: int) -> str:
    """Made-up words, of which each sub-dataset has fifty of its own: every method tells them."""
    own, chosen = random.Random(sub_dataset), random.Random(f"{sub_dataset} {number}")
    words = ["".join(own.choices("aeioubdklmnprst", k=7)) for _ in range(50)]
    sentences = (" ".join(chosen.choices(words, k=9)).capitalize() for _ in range(20))
    return ". ".join(sentences) + "."


def _config(places: Places, lm: Path) -> RunConfig:
    return build_config(
        {
            "output": str(places.run),
            "corpus": {
                "paths": [str(places.shared / "data" / "sources.jsonl.gz")],
                "ood_paths": [str(places.shared / "data" / "sources_ood.jsonl.gz")],
                "near_duplicate": 1.0,
            },
            "probe": {"model": str(lm)},
            "attributor": {"hidden": 16, "projection": 16, "epochs": 2},
            "detector": {"epochs": 2, "embedding": 8},
            "evidence": {"enabled": False},
            "tracking": {"uri": f"sqlite:///{places.folder}/mlflow.db"},
        }
    )
