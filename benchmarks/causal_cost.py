"""`python -m benchmarks.causal_cost RUN`: what shares cost beside a gradient, by the LM's size.

CPU seconds of one query of 255 tokens, one thread, queries in batches:
- gradient: a pass forward and back, projected, as `benchmarks.causal` compares it with an index;
- states: the probe's pass; it is free where the LM wrote the text itself and the states were taken
  from the generating passes (docs/generation.md);
- scorer: shares from states that are there. RUN (the output of `copylens run`) gives the scorer,
  the same beside every LM: of all it does only the first projection grows with the LM.
LMs have random weights, which cost what trained ones do. The last line is one JSON object.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.embed import LARGE_LM, SMALL_LM
from benchmarks.retraining.gradients import Projections, gradients
from benchmarks.retraining.methods import PROJECTED
from benchmarks.serving.texts import Case, cut
from benchmarks.support.workload import save_lm, standard_library
from copylens.config.schema import ProbeConfig
from copylens.corpus.publish import read_split
from copylens.probe.probe import Probe
from copylens.verdict.scorer import Scorer

TOKENS, CONTEXT = 255, 256
SIZES: dict[str, tuple[dict[str, int], int]] = {
    "causal": ({"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}, 64),
    "small": (SMALL_LM, 64),
    "middle": ({"hidden_size": 512, "num_hidden_layers": 8, "num_attention_heads": 8}, 16),
    "large": (LARGE_LM, 8),
}
"""Name -> shape and number of queries."""


def main() -> None:
    """Measures, tells each size as it comes, and prints the JSON line last."""
    torch.set_num_threads(1)
    asked = _arguments()
    scorer_s = scorer_seconds(Case(asked.run, asked.probe), 64)
    found: dict[str, Any] = {"scorer_seconds": round(scorer_s, 5)}
    passages = standard_library(600)
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.lms:
            shape, count = SIZES[name]
            lm = save_lm(Path(folder, name), passages, shape)
            found[name] = costs(lm, passages, count, scorer_s)
            print(json.dumps({name: found[name]}), flush=True)
    print(json.dumps(found))


def costs(lm: str, passages: Sequence[str], count: int, scorer_s: float) -> dict[str, float]:
    """Seconds per query with one LM, and shares over the gradient."""
    tokenizer = AutoTokenizer.from_pretrained(lm)
    texts = cut(passages, tokenizer, TOKENS, count)
    model = AutoModelForCausalLM.from_pretrained(lm)
    projections = Projections.random(model, PROJECTED, seed=0)
    probe = Probe(ProbeConfig(model=lm))

    def gradient(asked: Sequence[str]) -> None:
        gradients(model, tokenizer, asked, CONTEXT, projections)

    gradient_s = seconds(gradient, texts)
    states_s = seconds(probe.states, texts)
    return {
        "parameters_m": round(sum(p.numel() for p in model.parameters()) / 1e6, 1),
        "gradient_seconds": round(gradient_s, 5),
        "states_seconds": round(states_s, 5),
        "read_anew_vs_gradient": round((states_s + scorer_s) / gradient_s, 4),
        "from_generation_vs_gradient": round(scorer_s / gradient_s, 4),
    }


def scorer_seconds(case: Case, count: int) -> float:
    """Of one query, from states that are there to its shares."""
    scorer = Scorer.load(case.bundle, probe=case.probe)
    passages = [passage.text for passage in read_split(case.run, "test")]
    texts = cut(passages, scorer.probe.lm.tokenizer, TOKENS, count)
    states = scorer.probe.states(texts)
    return seconds(lambda asked: scorer.score(asked, states), texts)


def seconds(work: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    """CPU seconds per text; the least of three, since others' work only adds."""
    taken = []
    for _ in range(3):
        start = time.process_time()
        work(texts)
        taken.append((time.process_time() - start) / len(texts))
    return min(taken)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="the output of `copylens run`")
    parser.add_argument("--probe", help="where its LM lies now, if it has moved")
    parser.add_argument("--lms", nargs="+", choices=SIZES, default=list(SIZES))
    return parser.parse_args()


if __name__ == "__main__":
    main()
