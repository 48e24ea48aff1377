"""The same texts judged offline, by the batch job and by the service: how far apart are they."""

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving.inprocess import InProcess
from benchmarks.serving.load import Job, ask
from benchmarks.serving.service import service
from benchmarks.serving.texts import Case


def golden(case: Case, tell: Callable[[str, Any], None]) -> dict[str, float]:
    """Largest difference of any number of any verdict; infinite where a word differs."""
    texts = golden_texts(case)
    with InProcess(case) as alone:
        offline = alone.verdicts(texts)
    batch = _batch(case, texts)
    with service(case) as ours:
        answers = ask(Job(ours.url, texts, 120.0, clients=1, requests=len(texts), keep=True))
    if refused := [answer for answer in answers if not answer.ok]:
        raise RuntimeError(f"a text was not judged ({refused[0].status}): {refused[0].body}")
    served = {answer.text: answer.body or {} for answer in answers}
    found = {
        "batch": max(map(difference, offline, batch)),
        "served": max(difference(row, served[n]) for n, row in enumerate(offline)),
    }
    tell(f"offline against, {len(texts)} texts", found)
    return {"golden_max_abs_difference": max(found.values())}


def golden_texts(case: Case) -> tuple[str, ...]:
    """Short ones, long ones and some that are longer than the LM's context."""
    count = case.size.texts // 4
    return tuple(t for tokens in (20, 64, 300, 900) for t in case.texts(tokens, count))


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Largest absolute difference between the numbers of two verdicts.

    Keys that the first does not have are the policy's and do not count.
    """
    pairs = dict(_leaves(other))
    worst = 0.0
    for place, value in _leaves(one):
        found = pairs.get(place)
        if isinstance(value, float) and isinstance(found, int | float):
            worst = max(worst, abs(value - found))
        elif value != found:
            return math.inf
    return worst


def _leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, (*place, key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for key, item in enumerate(value):
            yield from _leaves(item, (*place, key))
    else:
        yield place, value


def _batch(case: Case, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Verdicts of `python -m ray_jobs.score`, in order."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "log.jsonl"), Path(folder, "verdicts")
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        words = ["--input", str(source), "--output", str(target), "--model", case.bundle]
        words += ["--probe", case.probe] if case.probe else []
        words += ["--shard-rows", str(len(texts) // 2)]
        subprocess.run(
            [sys.executable, "-m", "ray_jobs.score", *words],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=Path(__file__).parents[2],
        )
        lines = [line for part in sorted(target.glob("part-*.jsonl")) for line in part.open("rb")]
    rows = [json.loads(line) for line in lines]
    return [
        {key: value for key, value in row.items() if key not in ("row", "id")}
        for row in sorted(rows, key=lambda row: row["row"])
    ]
