"""More requests than can be answered: what the lucky ones wait, and how replicas come and go."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.serving.load import Answer, Job, ask, percentile, rate, refused_at_once
from benchmarks.serving.service import Server, service
from benchmarks.serving.size import Size
from benchmarks.serving.speed import milliseconds, unloaded
from benchmarks.serving.texts import Case
from benchmarks.support.memory import PeakMemory

_TIMES = 5.0
# Where a service must stay quick it says so: refuse what would take longer than twice its time.
_PATIENCE = 2.0
_CALM = 1.3


def overload(case: Case, tell: Callable[[str, Any], None]) -> dict[str, float | None]:
    """Five times as many requests of 512 tokens as can be answered, for 60 s, by the clock."""
    size, texts = case.size, case.texts(512, 64)
    with service(case) as ours:
        unloaded(ours.url, texts, size.calm_requests // 5)
        calm = unloaded(ours.url, texts, size.calm_requests)
        capacity = _capacity(ours, texts, size)
    patience = _PATIENCE * percentile(calm, 0.5)
    with service(case, batching={"answer_s": patience}) as ours:
        unloaded(ours.url, texts, size.calm_requests // 2)
        calm = unloaded(ours.url, texts, size.calm_requests)
        memory = PeakMemory(ours.process.pid)
        before = memory.now_mb()
        with memory.watching():
            answers = ask(Job(ours.url, texts, size.overload_s, rate=_TIMES * capacity))
        recovery = recovery_seconds(ours, texts, _CALM * percentile(calm, 0.95), size.search_s)
    accepted = [answer.seconds for answer in answers if answer.ok]
    refused = refused_at_once(answers)
    other = len(answers) - len(accepted) - len(refused)
    tell("capacity", {"texts_per_second": round(capacity, 1), "answer_s": round(patience, 3)})
    tell("unloaded", milliseconds(calm))
    tell(
        "accepted", {**milliseconds(accepted), "texts_per_second": len(accepted) / size.overload_s}
    )
    tell("refused", {**milliseconds(refused), "other_answers": other})
    tell("memory", {"before_mb": round(before), "peak_mb": round(memory.peak_mb)})
    return {
        "overload_p99_vs_unloaded": percentile(accepted, 0.99) / percentile(calm, 0.99),
        "overload_other_answers": other,
        "overload_memory_growth": memory.peak_mb / before,
        "recovery_seconds": recovery,
    }


def recovery_seconds(
    server: Server, texts: Sequence[str], limit: float, search_s: float
) -> float | None:
    """Seconds until three requests in a row are answered within the limit; None = never."""
    start = time.time()
    answers = ask(Job(server.url, tuple(texts), search_s, clients=1, requests=60))
    return recovered(answers, start, limit)


def recovered(answers: Sequence[Answer], start: float, limit: float) -> float | None:
    """Seconds from `start` to the first of three good and quick answers in a row."""
    for place in range(len(answers) - 2):
        if all(answer.ok and answer.seconds <= limit for answer in answers[place : place + 3]):
            return answers[place].begin + answers[place].seconds - start
    return None


def autoscaling(case: Case, tell: Callable[[str, Any], None]) -> dict[str, int]:
    """One client, then 32, then one: the replicas each second."""
    size, texts = case.size, case.texts(64, 64)
    settings = {"replicas_max": 3, "scale_up_s": 5, "scale_down_s": 10}
    curve: list[tuple[float, int]] = []
    with service(case, **settings) as ours, _replica_curve(ours, curve):
        ask(Job(ours.url, texts, size.step_s / 6, clients=1))
        step = time.monotonic()
        ask(Job(ours.url, texts, size.step_s, clients=size.clients))
        calm = time.monotonic()
        ask(Job(ours.url, texts, size.after_s, clients=1))
    counts = [count for _, count in curve]
    for when, count in changes(curve):
        phase = "before" if when < step else "32 clients" if when < calm else "after"
        print(f"  {when - step:6.1f} s  {phase:10}  {count} replicas")
    tell("replicas, second by second", "".join(map(str, counts)))
    return {"replicas_at_first": counts[0], "replicas_at_most": max(counts), "at_last": counts[-1]}


def changes(curve: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """The points at which a curve takes another value, the first one included."""
    return [point for n, point in enumerate(curve) if n == 0 or curve[n - 1][1] != point[1]]


@contextmanager
def _replica_curve(server: Server, curve: list[tuple[float, int]]) -> Iterator[None]:
    """Within it, the number of Scorer replicas is added to `curve` once a second."""
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(1.0):
            curve.append((time.monotonic(), len(server.replicas("Scorer"))))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _capacity(server: Server, texts: tuple[str, ...], size: Size) -> float:
    answers = ask(Job(server.url, texts, size.capacity_s, clients=size.clients))
    return rate(answers, size.warm_s, size.capacity_s - size.warm_s)
