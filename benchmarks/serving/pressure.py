"""More requests than can be answered: what the lucky ones wait, and how replicas come and go."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.serving.load import Answer, Job, Load, ask, percentile, rate, refused_at_once
from benchmarks.serving.service import Server, service
from benchmarks.serving.speed import CLIENTS, milliseconds, unloaded
from benchmarks.serving.texts import Case
from benchmarks.support.memory import PeakMemory

_SECONDS, _TIMES = 60.0, 5.0
_CAPACITY_S, _WARM_S = 12.0, 2.0
# Where a service must stay quick it says so: refuse what would take longer than twice its time.
_PATIENCE = 2.0
_CALM, _SEARCH_S = 1.3, 30.0
_STEP_S, _AFTER_S = 50.0, 45.0


def overload(case: Case, tell: Callable[[str, Any], None]) -> dict[str, float | None]:
    """Five times as many requests of 512 tokens as can be answered, for 60 s, by the clock."""
    texts = case.texts(512, 64)
    with service(case) as ours:
        unloaded(ours.url, texts, 20)
        calm = unloaded(ours.url, texts, 100)
        capacity = _capacity(ours, texts)
    patience = _PATIENCE * percentile(calm, 0.5)
    with service(case, batching={"answer_s": patience}) as ours:
        unloaded(ours.url, texts, 50)
        calm = unloaded(ours.url, texts, 100)
        memory = PeakMemory(ours.process.pid)
        before = memory.now_mb()
        with memory.watching():
            answers = ask(Job(ours.url, texts, _SECONDS, rate=_TIMES * capacity))
        recovery = recovery_seconds(ours, texts, _CALM * percentile(calm, 0.95))
    accepted = [answer.seconds for answer in answers if answer.ok]
    refused = refused_at_once(answers)
    other = len(answers) - len(accepted) - len(refused)
    tell("capacity", {"texts_per_second": round(capacity, 1), "answer_s": round(patience, 3)})
    tell("unloaded", milliseconds(calm))
    tell("accepted", {**milliseconds(accepted), "texts_per_second": len(accepted) / _SECONDS})
    tell("refused", {**milliseconds(refused), "other_answers": other})
    tell("memory", {"before_mb": round(before), "peak_mb": round(memory.peak_mb)})
    return {
        "overload_p99_vs_unloaded": percentile(accepted, 0.99) / percentile(calm, 0.99),
        "overload_other_answers": other,
        "overload_memory_growth": memory.peak_mb / before,
        "recovery_seconds": recovery,
    }


def recovery_seconds(server: Server, texts: Sequence[str], limit: float) -> float | None:
    """Seconds until three requests in a row are answered within the limit; None = never."""
    start = time.time()
    answers = ask(Job(server.url, tuple(texts), _SEARCH_S, clients=1, requests=60))
    return recovered(answers, start, limit)


def recovered(answers: Sequence[Answer], start: float, limit: float) -> float | None:
    """Seconds from `start` to the first of three good and quick answers in a row."""
    for place in range(len(answers) - 2):
        if all(answer.ok and answer.seconds <= limit for answer in answers[place : place + 3]):
            return answers[place].begin + answers[place].seconds - start
    return None


def autoscaling(case: Case, tell: Callable[[str, Any], None]) -> dict[str, int]:
    """One client, then 32, then one: the replicas each second."""
    texts = case.texts(64, 64)
    settings = {"replicas_max": 3, "scale_up_s": 5, "scale_down_s": 10}
    curve: list[tuple[float, int]] = []
    with service(case, **settings) as ours, _watched(ours, curve):
        ask(Job(ours.url, texts, 8.0, clients=1))
        step = time.monotonic()
        ask(Job(ours.url, texts, _STEP_S, clients=CLIENTS))
        calm = time.monotonic()
        with Load(Job(ours.url, texts, _AFTER_S, clients=1)) as load:
            load.answers()
    counts = [count for _, count in curve]
    for when, count in changes(curve):
        phase = "before" if when < step else "32 clients" if when < calm else "after"
        print(f"  {when - step:6.1f} s  {phase:10}  {count} replicas")
    tell("replicas, second by second", "".join(map(str, counts)))
    return {"replicas_at_first": counts[0], "replicas_at_most": max(counts), "at_last": counts[-1]}


def changes(curve: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """The points at which a curve takes another value, the first one included."""
    return [point for n, point in enumerate(curve) if n == 0 or curve[n - 1][1] != point[1]]


class _watched:  # noqa: N801 - used as a function
    """Notes the number of Scorer replicas once a second within a `with` block."""

    def __init__(self, server: Server, curve: list[tuple[float, int]]):
        self._server, self._curve = server, curve
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(1.0):
            self._curve.append((time.monotonic(), len(self._server.replicas("Scorer"))))


def _capacity(server: Server, texts: tuple[str, ...]) -> float:
    answers = ask(Job(server.url, texts, _CAPACITY_S, clients=CLIENTS))
    return rate(answers, _WARM_S, _CAPACITY_S - _WARM_S)
