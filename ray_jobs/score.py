"""A whole log of texts -> verdict shards, on Ray Data actors; resumable shard by shard."""

import time
from dataclasses import asdict
from typing import Any

import torch

from copylens.config.schema import RunConfig
from copylens.registry.reader import load_scorer, resolve_version
from copylens.registry.server import tracking_uri
from copylens.verdict.batch import SHARD_ROWS, ScoreTask, ShardScorer, finish_scores, plan_scores
from ray_jobs.cluster.command import config_parser, log_main
from ray_jobs.cluster.pool import ShardActor, work_through


class ScoreActor(ShardActor):
    """One worker: loads the scorer at its first shard, publishes a shard of verdicts at a time."""

    def __init__(self) -> None:
        self._scorer: ShardScorer | None = None

    def work(self, values: dict[str, Any]) -> int:
        """Scores a shard; returns its number of rows."""
        if self._scorer is None:
            torch.set_num_threads(values["threads"])
            scorer = load_scorer(*values["scorer"])
            self._scorer = ShardScorer(scorer, values["evidence"])
        task = ScoreTask(**values["task"])
        self._scorer(task)
        return task.rows


def run(
    config: RunConfig,
    source: str,
    target: str,
    model: str,
    probe: str | None,
    shard_rows: int = SHARD_ROWS,
    evidence: bool = False,
) -> dict[str, Any]:
    """Scores every row of `source` into `target`/part-*.jsonl; complete shards are skipped.

    The alias is resolved once, so that one log is judged by one version throughout.
    """
    start = time.perf_counter()
    registry = tracking_uri(config.tracking.uri)
    if model.startswith("models:/"):
        model = "models:/" + "/".join(resolve_version(model, registry))
    asked = f"{model} with evidence" if evidence else model
    tasks = plan_scores(source, target, asked, shard_rows)
    pending = [task for task in tasks if not task.done]
    threads = config.resources.threads
    given = {"scorer": [model, registry, probe], "threads": threads, "evidence": evidence}
    todo = [{"task": asdict(task), **given} for task in pending]
    total = sum(task.rows for task in pending)
    work_through(config, ScoreActor, todo, "score", total, "texts")
    return {
        "stage": "score",
        **finish_scores(target, tasks),
        "shards": len(tasks),
        "shards_resumed": len(tasks) - len(pending),
        "model": model,
        "output": target,
        "seconds": round(time.perf_counter() - start, 1),
    }


def main() -> None:
    """`python -m ray_jobs.score --input log.jsonl --output verdicts/ [--model ...]`."""
    parser = config_parser(__doc__)
    parser.add_argument(
        "--input", required=True, help=".jsonl[.gz] or .parquet with a `text` a row; any URI"
    )
    parser.add_argument("--output", required=True, help="folder or URI of the verdict shards")
    parser.add_argument("--model", default="models:/copylens@champion")
    parser.add_argument("--shard-rows", type=int, default=SHARD_ROWS, help="rows per shard")
    parser.add_argument(
        "--evidence", action="store_true", help="spans and nearest passages with each verdict"
    )
    parser.add_argument("--probe", help="where the LM lies now, if it has moved")
    words = parser.parse_args()
    given = (words.input, words.output, words.model, words.probe, words.shard_rows, words.evidence)
    tracks = words.model.startswith("models:/")
    log_main(words, ("input", "output"), tracks, lambda config: run(config, *given))


if __name__ == "__main__":
    main()
