"""`python benchmarks/serve.py RUN [--parts ...]`: what the service costs, and what it survives.

RUN is the output of `copylens run`, best with a small LM: what HTTP adds is lost beside the passes
of a large one. Each part starts what it needs and takes about three minutes at most; figures of
parts that were not asked for are null.
With --smallest each takes seconds, and the figures mean nothing.
- throughput: texts a second at 32 clients over those of the same scorer in-process (one thread
  each), and over a plain FastAPI with one request at a time.
- latency: p95 of one text of 512 tokens over the scorer's own.
- live: tokens a second with flags over those without; see benchmarks/live.py.
- golden: largest difference between offline, batch and served verdicts.
- kills: SIGKILL for a replica every 5 s for 60 s. switches: five changes of the champion.
- overload: five times what can be answered for 60 s. autoscaling: replicas under a step of load.
The load generator is a process of its own on the same machine; starts are not measured.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # started by its path: that folder's serve.py would hide the package `serve`
    sys.path[0] = str(ROOT)

from benchmarks.serving import faults, golden, pressure, speed, texts  # noqa: E402
from benchmarks.serving.size import FULL, SMALLEST  # noqa: E402
from benchmarks.serving.watching import live  # noqa: E402

_Part = Callable[[texts.Case, Callable[[str, Any], None]], dict[str, Any]]
PARTS: dict[str, _Part] = {
    "throughput": speed.throughput,
    "latency": speed.latency,
    "live": live,
    "golden": golden.golden,
    "kills": faults.kills,
    "switches": faults.switches,
    "overload": pressure.overload,
    "autoscaling": pressure.autoscaling,
}
KEYS = (
    "throughput_vs_inprocess",
    "throughput_vs_plain_fastapi_512",
    "throughput_vs_plain_fastapi_64",
    "p95_vs_inprocess",
    "live_vs_plain_generation",
    "overload_p99_vs_unloaded",
    "recovery_seconds",
    "kill_failed_share",
    "kill_wrong",
    "switch_failed",
    "golden_max_abs_difference",
)


def main() -> None:
    """Runs the parts, tells details as they come, and prints the JSON line last."""
    asked = _arguments()
    # Whoever ends it early ends what it has started too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Children are modules of this very tree, wherever they are started.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    case = texts.Case(asked.run, asked.probe, SMALLEST if asked.smallest else FULL)
    figures: dict[str, Any] = dict.fromkeys(KEYS)
    for part in asked.parts:
        print(part, flush=True)
        figures |= PARTS[part](case, tell)
    print(json.dumps({key: _rounded(value) for key, value in figures.items()}))


def tell(what: str, values: Any) -> None:
    """A line of details."""
    print(f"  {what}: {values if isinstance(values, str) else json.dumps(values)}", flush=True)


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="the output of `copylens run`")
    parser.add_argument("--probe", help="where the LM lies now, if it has moved")
    parser.add_argument(
        "--parts", type=_parts, default=tuple(PARTS), help=f"some of {', '.join(PARTS)}"
    )
    parser.add_argument(
        "--smallest", action="store_true", help="seconds a part: shows that it runs, not how well"
    )
    return parser.parse_args()


def _parts(words: str) -> tuple[str, ...]:
    parts = tuple(words.split(","))
    if unknown := set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(
            f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}"
        )
    return parts


if __name__ == "__main__":
    main()
