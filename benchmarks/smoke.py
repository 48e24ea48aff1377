"""`python -m benchmarks.smoke [MODULE ...]`: every benchmark at its smallest size, two at once.

Each has to exit with 0 and to end with one line of JSON, as all benchmarks do; of one that does
not, the end of its output is shown, and the others follow. The figures mean nothing at this size.
The last line is one JSON object: the seconds that each took.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.support import tiny

TIMEOUT = 600
"""Seconds for one benchmark."""
# Most of them wait for processes to start.
_AT_ONCE = 2

SMALLEST: dict[str, str] = {
    "benchmarks.results": "{run} --page {folder}/results.md",
    "benchmarks.verdict.detector": "{run}",
    "benchmarks.verdict.hard_cases": "{run} --texts 5 --draws 1 --parts pasted,small",
    "benchmarks.embed": "--passages 240 --tiny-lms",
    "benchmarks.scaling": "--passages 384 --empty-shards 20 --tiny-lms",
    "benchmarks.audit": "--shared {shared} --out {folder}/audit --passages 12 --repeats 1",
    "benchmarks.causal": "{folder}/causal --paths {shared}/data/pair.jsonl.gz"
    " --tuning 2 --judging 2 --blocks 8",
    "benchmarks.causal_cost": "{run} --lms causal",
    "benchmarks.evidence": "--quotations 4 --code-mb 0.3",
    "benchmarks.support.evidence_indexes": "--code-mb 0.3",
    "benchmarks.support.evidence_nearest": "{run}",
    "benchmarks.statement": "{run} --logs 20 --worlds 4 --run-logs 4 --known-logs 2",
    "benchmarks.takedown": "{run} --removals 1",
    "benchmarks.chaos": "--smallest",
    "benchmarks.fuzz": "{run}/model --examples 1 --bodies 5",
    "benchmarks.live": "{run} --passages 4 --prompts 1 --tokens 16 --rounds 1 --every 8",
    "benchmarks.verdict.fine_tuning": "{run} --passages 12 --epochs 1",
    "benchmarks.verdict.lm_size": "{run} {shared}/models/neox-2.5m-all --train 12 --test 12",
    "benchmarks.finetuned": "{folder}/finetuned --small --model {shared}/models/neox-2.5m-all",
    # Each part starts a service, which takes most of its time.
    "benchmarks.serve": "{run} --smallest --parts latency,kills",
}
"""Module -> its arguments: {shared}, {run} and {folder} stand for the places of `support.tiny`."""


def main() -> None:
    """Makes the tiny run, then runs what was asked for; exit code 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="default: all of them")
    asked = parser.parse_args().modules or list(SMALLEST)
    if unknown := [name for name in asked if name not in SMALLEST]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(SMALLEST)}")
    seconds, failed = {}, []
    with tempfile.TemporaryDirectory() as name:
        start = time.monotonic()
        places = tiny.make(Path(name))
        seconds["the tiny run"] = round(time.monotonic() - start, 1)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(lambda module: timed(module, places), asked)
            for module, (took, why) in zip(asked, found):
                seconds[module] = round(took, 1)
                tell(f"{module}: {why or 'well'} ({took:.0f} s)")
                failed += [module] if why else []
    print(json.dumps({"failed": failed, "seconds": seconds}))
    raise SystemExit(1 if failed else 0)


def timed(module: str, places: tiny.Places) -> tuple[float, str]:
    """The seconds that a benchmark took, and what is wrong with it."""
    start = time.monotonic()
    why = fault(module, SMALLEST[module].format(**vars(places)).split(), places.shared)
    return time.monotonic() - start, why


def fault(module: str, words: list[str], shared: Path) -> str:
    """Runs a benchmark; what is wrong with it, and the end of what it said. Empty: nothing."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            env={**os.environ, "COPYLENS_SHARED": str(shared), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {TIMEOUT} s"
    if done.returncode:
        return f"exit code {done.returncode}\n{done.stdout[-500:]}{done.stderr[-3000:]}"
    if not ends_with_json(done.stdout):
        return f"its output does not end with one line of JSON:\n{done.stdout[-500:]}"
    return ""


def ends_with_json(output: str) -> bool:
    """Whether the last line is one JSON object with figures in it, no NaN among them."""
    try:
        last = json.loads(output.splitlines()[-1], parse_constant=_refuse)
    except (IndexError, ValueError):
        return False
    return isinstance(last, dict) and bool(last)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def tell(line: str) -> None:
    """One line for whoever watches."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
