"""`python -m benchmarks.live RUN`: what watching costs a generation, and how soon a flag comes.

RUN is the output of `copylens run`, with its scorer in RUN/model and its passages in RUN/corpus.
- live_vs_plain_generation: tokens per second with running verdicts over those of the same
  generation (same prompts, seeds and tokens) without. The pass that gives the final verdict comes
  when the last token is out; it is told on stderr.
- tokens_to_flag: median over held-out registered passages of the tokens from a passage's first one
  to the flag that names its sub-dataset. The passages' tokens go through the stream as if the LM
  had written them. null where half of the passages get no such flag.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from copylens.corpus.publish import read_split
from copylens.generation.live import Monitor, Schedule, generate
from copylens.probe.chunks import tokenize
from copylens.probe.detokenize import Detokenizer
from copylens.probe.stream import StateStream
from copylens.probe.writer import Writer, prompt_tokens
from copylens.records import Passage
from copylens.store import storage
from copylens.verdict.scorer import Scorer

_PROMPT_CHARS = 200


def main() -> None:
    """Measures, tells details on stderr, and prints the JSON line last."""
    torch.set_num_threads(1)
    asked = _arguments()
    scorer = Scorer.load(storage.join(asked.run, "model"), probe=asked.probe)
    passages = read_split(asked.run, asked.split)
    chosen = passages[:: max(1, len(passages) // asked.passages)][: asked.passages]
    options = {"every": asked.every, "confirm": asked.confirm}
    figures = {
        "live_vs_plain_generation": live_vs_plain(
            scorer, chosen[:: max(1, len(chosen) // asked.prompts)][: asked.prompts], asked, options
        ),
        "tokens_to_flag": tokens_to_flag(scorer, chosen, options),
    }
    print(json.dumps({k: None if v is None else round(v, 4) for k, v in figures.items()}))


def live_vs_plain(
    scorer: Scorer, passages: Sequence[Passage], asked: Any, options: dict[str, Any]
) -> float:
    """Median of plain time / live time over prompts and rounds; both in turns, with one thread."""
    prompts = [passage.text[:_PROMPT_CHARS] for passage in passages]
    ratios, final, written = [], [], []
    for number in range(1 + asked.rounds):
        for seed, prompt in enumerate(prompts):
            count, plain = plain_generation(scorer, prompt, asked.tokens, seed)
            same, watched, after = live_generation(scorer, prompt, asked.tokens, seed, options)
            assert count == same, "both must write the same"
            if number:  # the first round warms up
                ratios.append(plain / watched)
                final.append(1000 * after)
                written.append(1000 * plain / count)
    tell({"ms_per_token": statistics.median(written), "ratios": quartiles(ratios)})
    tell({"final_verdict_ms": statistics.median(final)})
    return statistics.median(ratios)


def plain_generation(scorer: Scorer, prompt: str, limit: int, seed: int) -> tuple[int, float]:
    """Tokens and seconds of the same loop without a stream."""
    lm = scorer.probe.lm
    start = clock()
    ids = prompt_tokens(lm, prompt)
    words, writer = Detokenizer(lm.tokenizer), Writer(lm, ids, None, seed=seed)
    for _ in range(min(limit, lm.context - len(ids))):
        token = writer.draw()
        if writer.is_end(token):
            break
        words.add(token)
    return len(words.ids), clock() - start


def live_generation(
    scorer: Scorer, prompt: str, limit: int, seed: int, options: dict[str, Any]
) -> tuple[int, float, float]:
    """Tokens, seconds up to the last token, and seconds of the final verdict."""
    start = end = clock()
    tokens = 0
    for step in generate(scorer, prompt, max_tokens=limit, seed=seed, **options):
        if step.finish is None:
            end = clock()
        tokens = step.tokens
    return tokens, end - start, clock() - end


def tokens_to_flag(
    scorer: Scorer, passages: Sequence[Passage], options: dict[str, Any]
) -> float | None:
    """The median; passages that never get their flag count as infinitely late."""
    found, first_right = [], 0
    for passage in passages:
        flags = flags_of(scorer, passage.text, **options)
        right = [n for n, source in flags if source == passage.sub_dataset]
        named = [source for _, source in flags if source is not None]
        first_right += named[:1] == [passage.sub_dataset]
        found.append(right[0] if right else math.inf)
    tell(
        {
            "passages": len(found),
            "flagged": sum(n < math.inf for n in found) / len(found),
            "first_named_is_right": first_right / len(found),
            "quartiles": [q for q in quartiles(found) if q < math.inf],
        }
    )
    median = statistics.median(found)
    return median if median < math.inf else None


def flags_of(scorer: Scorer, text: str, every: int, confirm: int) -> list[tuple[int, str | None]]:
    """Tokens and named source of each flag, with the text's tokens forced through the stream."""
    lm = scorer.probe.lm
    ids = list(tokenize(lm, [text])[0].ids)[: lm.context - len(lm.prefix)]
    stream = StateStream(scorer.probe, len(lm.prefix))
    schedule = Schedule(every)
    monitor = Monitor(scorer, stream, confirm=confirm)
    flags: list[tuple[int, str | None]] = []
    unread, past = list(lm.prefix), None
    with stream.attached():
        for count, token in enumerate(ids, 1):
            unread.append(token)
            if not schedule.due(count):
                continue
            with torch.inference_mode(), stream.listening():
                feed = torch.tensor([unread], device=lm.device)
                past = lm.model(
                    input_ids=feed, past_key_values=past, use_cache=True
                ).past_key_values
            unread = []
            flag = monitor.observe().flag
            if flag is not None:
                flags.append((flag.tokens, flag.sub_dataset))
    return flags


def quartiles(values: Sequence[float]) -> list[float]:
    """Each is one of the values, so infinite ones do no harm."""
    found: list[float] = np.quantile(values, [0.25, 0.5, 0.75], method="inverted_cdf").tolist()
    return found


def clock() -> float:
    """CPU time: with one thread it is what the work costs, whatever else the machine does."""
    return time.process_time()


def tell(figures: dict[str, Any]) -> None:
    print(json.dumps(figures), file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="the output of `copylens run`")
    parser.add_argument("--probe", help="where the LM lies now, if it has moved")
    parser.add_argument("--split", default="test", help="val, to choose `every` and `confirm` by")
    parser.add_argument("--passages", type=int, default=150)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=256, help="written after each prompt")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--every", type=int, default=64)
    parser.add_argument("--confirm", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
