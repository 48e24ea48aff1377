"""The scorer without a service, in a process of its own: `-m benchmarks.serving.inprocess`.

It reads one line of JSON per order and answers with one, so that its start is no part of a figure.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.serving.texts import Case

_WARM = 2


class InProcess:
    """A scorer in a child process, with one thread as a replica has it."""

    def __init__(self, case: Case):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serving.inprocess", case.bundle, case.probe or ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def __enter__(self) -> "InProcess":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def texts_per_second(self, texts: Sequence[str], batch: int, seconds: float) -> float:
        """In batches of so many, for so long."""
        took = self._ask({"texts": texts, "batch": batch, "seconds": seconds})["seconds"]
        return batch * len(took) / sum(took)

    def latencies(self, texts: Sequence[str], count: int) -> list[float]:
        """Seconds of so many verdicts on one text each."""
        order = {"texts": texts, "batch": 1, "count": count, "warm": 0}
        found: list[float] = self._ask(order)["seconds"]
        return found

    def verdicts(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Each text alone."""
        found: list[dict[str, Any]] = self._ask({"verdicts": texts})["verdicts"]
        return found

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _timed(
    scorer: Any,
    texts: list[str],
    batch: int,
    seconds: float = 1e9,
    count: int = 10**9,
    warm: int = _WARM,
) -> list[float]:
    """Seconds of each batch but the first ones, which warm up."""
    took: list[float] = []
    place = 0
    while len(took) < count + warm and sum(took[warm:]) < seconds:
        asked = [texts[(place + n) % len(texts)] for n in range(batch)]
        place += batch
        start = time.perf_counter()
        scorer.verdicts(asked)
        took.append(time.perf_counter() - start)
    return took[warm:]


def _main() -> None:
    import torch

    from copylens.verdict.scorer import Scorer

    torch.set_num_threads(1)
    scorer = Scorer.load(sys.argv[1], probe=sys.argv[2] or None)
    for line in sys.stdin:
        order = json.loads(line)
        if "verdicts" in order:
            # One by one: the offline answer that knows no batch.
            found = [scorer.verdicts([text])[0].to_dict() for text in order["verdicts"]]
            answer: dict[str, Any] = {"verdicts": found}
        else:
            answer = {"seconds": _timed(scorer, **order)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _main()
