"""`python -m benchmarks.finetuned [FOLDER]`: does CopyLens know what a real LM was fine-tuned on?

SmolLM2 is fine-tuned with LoRA on seven tenths of one sub-dataset, once for each of eight;
then each of these LMs, and the untuned one, is audited, writes on the same openings, and its texts
are judged with its own states. Everything is kept in FOLDER: a call that was stopped goes on from
there. Prose comes from $COPYLENS_SHARED where it is there; else all sub-datasets are installed
distributions. See docs/audit.md. Details go to stderr; the last line is one JSON object:

- audit_found, audit_false: sub-datasets said to be trained on that were, and that were not.
- written_named, written_named_untuned: texts whose largest share is the LM's own sub-dataset, of
  the tuned LMs, and of the untuned one by the same scorers; written_difference_ci95 of the two;
  written_words_only, written_attention_only: the first by one channel alone.
- extractable_trained, extractable_unread: of passages read often, and of those not read, how many
  can be drawn word for word.
- lds, lds_bm25, lds_ci95: does a share of a text follow what fine-tuning did to its loss? The last
  of their difference.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.finetuned.plan import Plan, Recipe, write_corpus
from benchmarks.finetuned.report import report
from benchmarks.finetuned.study import Study
from copylens.errors import CopyLensError

LMS = 8
SMALL = 2


def main() -> None:
    """Fine-tunes what is missing, judges, and prints the JSON line last."""
    torch.set_num_threads(1)
    asked = _arguments()
    recipe = replace(Recipe(), model=asked.model)
    plan = Plan(recipe=recipe)
    if asked.small:
        recipe = replace(recipe, passages=20, repeated=8, repeats=4, passes=1)
        plan = Plan(recipe=recipe, corpus_passages=80, openings=2, new_tokens=40, queries=2)
    shared = Path(os.environ.get("COPYLENS_SHARED", "../shared"))
    try:
        sources = write_corpus(asked.folder, shared, SMALL if asked.small else LMS)
        figures = report(Study(asked.folder.absolute(), sources, plan, asked.processes))
    except CopyLensError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(json.dumps({key: _rounded(value) for key, value in figures.items()}))


def _rounded(value: object) -> object:
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs/finetuned"))
    parser.add_argument("--small", action="store_true", help="two LMs: to see that it works")
    parser.add_argument("--model", default=Recipe().model, help="as in probe.model")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="LMs at once")
    return parser.parse_args()


if __name__ == "__main__":
    main()
