"""`python -m benchmarks.causal [FOLDER]`: do shares tell what training on a sub-dataset did?

Small LMs are trained from scratch on random halves of the sub-datasets. How well does each method
predict, from a text alone, which of these LMs find the text easier? See docs/causal.md. Everything
is kept in FOLDER: a call that was stopped goes on from there. Details go to stderr; the last line
of the output is one JSON object.
"""

import argparse
import json
import os
import sys
from pathlib import Path

# So that the file can be run by its path as well.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.retraining.methods import all_methods
from benchmarks.retraining.plan import Plan
from benchmarks.retraining.report import report
from benchmarks.retraining.study import Study
from copylens.errors import CopyLensError


def main() -> None:
    """Trains what is missing, scores, judges, and prints the JSON line last."""
    torch.set_num_threads(1)
    asked = _arguments()
    plan = Plan(blocks=asked.blocks, tuning=asked.tuning, judging=asked.judging)
    study = Study(asked.folder, tuple(asked.paths), plan)
    numbers = range(plan.tuning + plan.judging) if asked.lm is None else asked.lm
    try:
        for number in numbers:
            tell({"lm": number, "folder": study.lm(number)})
        if asked.lm is None:
            print(json.dumps(report(study, all_methods(study), tell)))
    except CopyLensError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def tell(figures: dict[str, object]) -> None:
    """Details, as they come."""
    print(json.dumps(figures), file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    data = Path(os.environ.get("COPYLENS_SHARED", "../shared")) / "data"
    default = [str(data / name) for name in ("books.jsonl.gz", "sources.jsonl.gz")]
    plan = Plan()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="runs/causal")
    parser.add_argument("--paths", nargs="+", default=default, help="sources, as in corpus.paths")
    parser.add_argument("--lm", nargs="+", type=int, help="train these LMs alone, and stop")
    parser.add_argument("--tuning", type=int, default=plan.tuning, help="LMs that settings see")
    parser.add_argument("--judging", type=int, default=plan.judging, help="LMs that judge")
    parser.add_argument("--blocks", type=int, default=plan.blocks, help="per sub-dataset")
    return parser.parse_args()


if __name__ == "__main__":
    main()
