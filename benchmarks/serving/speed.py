"""Throughput at many clients and latency of one, against the scorer alone and a plain server."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.serving.inprocess import InProcess
from benchmarks.serving.load import Job, ask, percentile, rate
from benchmarks.serving.service import plain, service
from benchmarks.serving.size import Size
from benchmarks.serving.texts import Case

_BATCH = 32


def throughput(case: Case, tell: Callable[[str, Any], None]) -> dict[str, float]:
    """Texts a second: HTTP with 32 clients, the same scorer in-process in batches of 32, and a
    plain server with 32 clients; all with one thread. Short rounds in turns, so that all sides see
    the same load of the machine. Ratios: median over the rounds."""
    size = case.size
    texts = {tokens: case.texts(tokens, 64) for tokens in (512, 64)}
    found: dict[tuple[str, int], list[float]] = {}
    with InProcess(case) as alone, service(case) as ours, plain(case) as theirs:
        for _ in range(size.rounds):
            for tokens, asked in texts.items():
                seconds = size.long_s if tokens == 512 else size.short_s
                for name, measured in (
                    ("in-process", alone.texts_per_second(asked, _BATCH, seconds)),
                    ("service", _rate(ours.url, asked, seconds, size)),
                    ("plain", _rate(theirs.url, asked, seconds, size)),
                ):
                    found.setdefault((name, tokens), []).append(measured)
    for (name, tokens), rates in found.items():
        tell(f"{name}, {tokens} tokens, texts a second", [round(value, 1) for value in rates])

    def ratio(tokens: int, other: str) -> float:
        pairs = zip(found["service", tokens], found[other, tokens], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    return {
        "throughput_vs_inprocess": ratio(512, "in-process"),
        "throughput_vs_inprocess_64": ratio(64, "in-process"),
        "throughput_vs_plain_fastapi_512": ratio(512, "plain"),
        "throughput_vs_plain_fastapi_64": ratio(64, "plain"),
    }


def latency(case: Case, tell: Callable[[str, Any], None]) -> dict[str, float]:
    """p95 of one text of 512 tokens at a time, by HTTP and in-process, in turns. The first text of
    each turn, which comes after a pause, counts on both sides."""
    texts = case.texts(512, 64)
    served: list[float] = []
    alone: list[float] = []
    with InProcess(case) as scorer, service(case) as ours:
        unloaded(ours.url, texts, 20)
        for _ in range(case.size.blocks):
            alone += scorer.latencies(texts, case.size.requests)
            served += unloaded(ours.url, texts, case.size.requests)
    for name, values in (("in-process", alone), ("service", served)):
        tell(f"{name}, one text at a time", milliseconds(values))
    return {
        "p95_vs_inprocess": percentile(served, 0.95) / percentile(alone, 0.95),
        "start_seconds": ours.start_s,
    }


def unloaded(url: str, texts: Sequence[str], requests: int) -> list[float]:
    """Seconds of requests that come one after another."""
    answers = ask(Job(url, tuple(texts), 120.0, clients=1, requests=requests))
    assert all(answer.ok for answer in answers), "a request failed without any load"
    return [answer.seconds for answer in answers]


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """Median, p95, p99 and the number of values."""
    places = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    found = {name: round(1000 * percentile(seconds, q), 1) for name, q in places.items()}
    return {**found, "n": len(seconds)}


def _rate(url: str, texts: tuple[str, ...], seconds: float, size: Size) -> float:
    answers = ask(Job(url, texts, size.warm_s + seconds, clients=size.clients))
    bad = [answer for answer in answers if not answer.ok]
    assert not bad, f"{len(bad)} of {len(answers)} failed at {size.clients} clients: {bad[0]}"
    return rate(answers, size.warm_s, seconds)
