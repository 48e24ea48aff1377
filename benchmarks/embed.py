"""`python -m benchmarks.embed`: what the probe and Ray Data cost beside the bare work.

Each figure is a ratio of two things done in this very run, on texts that every machine has and
LMs of random weights:
- probe_vs_forward: speed of `Probe.states` over all layers over that of the LM's own forward
  pass, logits included, on the same batches. The LM has 91 M parameters; with one of 3 M, whose own
  work is small, it is probe_vs_forward_small. With the layers that are read by default, behind
  which the pass ends: middle_vs_forward.
- ray_vs_loop: speed of the embed stage over that of plain processes which do the same shards with
  the same LM of 91 M parameters, batches, threads and cores; loading and start-up are in both. In
  turns, since a shared machine is now faster and now slower: stage, plain, plain, stage.
- memory_growth_20x: peak memory of embed on 20 times the passages, all processes together; with
  the small LM, as texts_per_second of the embed stage on this machine.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from benchmarks.support.memory import PeakMemory
from benchmarks.support.workload import TINY_LM, save_lm, standard_library, write_corpus
from copylens.config.load import build_config
from copylens.config.schema import ProbeConfig, RunConfig
from copylens.corpus import ingest_corpus
from copylens.probe.probe import Probe
from copylens.states.embed import (
    EmbedTask,
    ShardEmbedder,
    plan,
)
from ray_jobs.cluster.session import ray_session
from ray_jobs.embed import embed_shards

WORKERS = 2
ROUNDS = 5
PASSAGES = 5120
SHARD = 64
SMALL_LM = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4}
LARGE_LM = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}


def main() -> None:
    """Measures, tells each step on stderr, and prints the JSON line last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=PASSAGES)
    parser.add_argument("--tiny-lms", action="store_true", help="to see that it works")
    words = parser.parse_args()
    torch.set_num_threads(1)
    texts = standard_library(words.passages)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = save_lm(folder / "small", texts, TINY_LM if words.tiny_lms else SMALL_LM)
        large = save_lm(folder / "large", texts, TINY_LM if words.tiny_lms else LARGE_LM)
        figures = {
            "probe_vs_forward": probe_vs_forward(large, texts[:10], "all"),
            "probe_vs_forward_small": probe_vs_forward(small, texts[:64], "all"),
            "middle_vs_forward": probe_vs_forward(large, texts[:10], "middle"),
        }
        tell(figures)
        figures |= stage_figures(folder, small, texts)
        figures["ray_vs_loop"] = ray_vs_loop(folder, large, texts[: len(texts) // 4])
    print(json.dumps({key: round(value, 4) for key, value in figures.items()}))


def probe_vs_forward(model: str, texts: Sequence[str], layers: Literal["all", "middle"]) -> float:
    """Median over rounds of forward time / probe time, in turns, with one thread."""
    probe = Probe(ProbeConfig(model=model, layers=layers))
    batches = recorded_batches(probe, texts)

    @torch.inference_mode()
    def forward() -> None:
        for ids in batches:
            probe.lm.model(input_ids=ids, use_cache=False)

    def full() -> None:
        probe.states(texts)

    # CPU time: with one thread it is what the work costs, whatever else the machine does.
    clock = time.process_time
    rounds = [(seconds(forward, clock), seconds(full, clock)) for _ in range(1 + ROUNDS)]
    return statistics.median(bare / full for bare, full in rounds[1:])


def recorded_batches(probe: Probe, texts: Sequence[str]) -> list[Tensor]:
    """Ids that the probe gives to its LM for these texts; without masks, since it is causal."""
    found: list[Tensor] = []
    hook = probe.lm.base.register_forward_pre_hook(
        lambda _module, _args, named: found.append(named["input_ids"]), with_kwargs=True
    )
    probe.states(texts)
    hook.remove()
    return found


def stage_figures(folder: Path, model: str, texts: Sequence[str]) -> dict[str, float]:
    """The embed stage on 1/20 of the texts and on all of them."""
    few = prepared(folder / "few", model, texts[: len(texts) // 20])
    many = prepared(folder / "many", model, texts)
    peaks, took = [], 0.0
    for config in (few, many):
        with PeakMemory().watching() as memory:
            took = stage_seconds(config)
        peaks.append(memory.peak_mb)
        tell({"passages": count(config), "peak_mb": memory.peak_mb, "seconds": took})
    return {"memory_growth_20x": peaks[1] / peaks[0], "texts_per_second": count(many) / took}


def ray_vs_loop(folder: Path, model: str, texts: Sequence[str]) -> float:
    """Time of plain processes / time of the embed stage, both ways twice and with equal bytes."""
    ways = {"stage": stage_seconds, "plain": lambda run: seconds(lambda: plain_processes(run))}
    took: dict[str, float] = dict.fromkeys(ways, 0.0)
    states = []
    for turn, way in enumerate(("stage", "plain", "plain", "stage")):
        config = prepared(folder / f"turn-{turn}", model, texts)
        took[way] += (this := ways[way](config))
        tell({way: this})
        states.append(published(config))
    assert all(other == states[0] for other in states), "both ways must end with the same bytes"
    return took["plain"] / took["stage"]


def stage_seconds(config: RunConfig) -> float:
    """Of the embed stage; Ray itself is up before the clock starts, as on a cluster."""
    with ray_session(config):
        return seconds(lambda: embed_shards(config, plan(config)))


def prepared(folder: Path, model: str, texts: Sequence[str]) -> RunConfig:
    """A config whose corpus is ingested."""
    folder.mkdir()
    config = build_config(
        {
            "output": str(folder / "run"),
            "corpus": {
                "paths": [write_corpus(folder / "corpus.jsonl", texts)],
                "shard_passages": SHARD,
                "near_duplicate": 1.0,
            },
            "probe": {"model": model},
            "resources": {"embed_workers": WORKERS},
        }
    )
    ingest_corpus(config)
    return config


def plain_processes(config: RunConfig) -> None:
    """Every WORKERS-th shard in a process of its own: no Ray."""
    tasks = plan(config)
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=plain_loop, args=(config.model_dump(mode="json"), tasks[n::WORKERS]))
        for n in range(WORKERS)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0


def plain_loop(settings: dict[str, object], tasks: list[EmbedTask]) -> None:
    """What one plain process does."""
    config = build_config(settings)
    torch.set_num_threads(config.resources.threads)
    embedder = ShardEmbedder(config)
    for task in tasks:
        embedder(task)


def published(config: RunConfig) -> list[bytes]:
    """The bytes of all state shards, in order."""
    return [Path(task.target).read_bytes() for task in plan(config)]


def count(config: RunConfig) -> int:
    """Passages that the run embeds."""
    return sum(task.passages for task in plan(config))


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Wall time of a call, or what another clock says."""
    start = clock()
    work()
    return clock() - start


def tell(figures: dict[str, float]) -> None:
    """One line on stderr."""
    print(", ".join(f"{key} {value:.4g}" for key, value in figures.items()), file=sys.stderr)


if __name__ == "__main__":
    main()
