"""A whole log of texts -> verdict shards, on Ray Data actors; resumable shard by shard."""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from copylens import storage
from copylens.config import RunConfig, fingerprint
from copylens.errors import CopyLensError
from copylens.progress import progress
from copylens.textio import read_texts
from ray_jobs.places import job_config, require_absolute_place, submitted
from ray_jobs.pool import over_shards
from ray_jobs.session import ray_session, user_errors
from ray_jobs.tracking import tracking_uri
from serve.registry import load_scorer, resolve_version

_SHARD = 256


class ScoreActor:
    """One worker: loads the scorer at its first shard, publishes a shard of verdicts at a time."""

    def __init__(self) -> None:
        self._scorer: Any = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Scores the shards of a batch; a user's mistake comes back as data."""
        counts, errors = [], []
        for task in map(json.loads, map(str, batch["task"])):
            try:
                counts.append(self._score(task))
                errors.append("")
            except CopyLensError as error:
                counts.append(0)
                errors.append(str(error).splitlines()[0])
        return {"texts": counts, "error": errors}

    def _score(self, task: dict[str, Any]) -> int:
        if self._scorer is None:
            torch.set_num_threads(task["threads"])
            self._scorer = load_scorer(task["model"], task["tracking_uri"], task["probe"])
        verdicts = self._scorer.verdicts(task["texts"])
        lines = [json.dumps(verdict.to_dict(), ensure_ascii=False) for verdict in verdicts]
        storage.write_bytes(task["target"], ("\n".join(lines) + "\n").encode())
        storage.write_json(f"{task['target']}.done.json", {"key": task["key"]})
        return len(verdicts)


def run(
    config: RunConfig, source: str, target: str, model: str, probe: str | None
) -> dict[str, Any]:
    """Scores every text of `source` into `target`/part-*.jsonl; complete shards are skipped.

    The alias is resolved once, so that one log is judged by one version throughout.
    """
    texts = read_texts(source)
    registry = tracking_uri(config)
    if model.startswith("models:/"):
        model = "models:/" + "/".join(resolve_version(model, registry))
    tasks = list(_tasks(config, texts, target, model, registry, probe))
    pending = [task for task in tasks if not _done(task)]
    with ray_session(config), user_errors(), progress("score", len(pending), "shards") as advance:
        for _ in over_shards(config, ScoreActor, [{"task": json.dumps(t)} for t in pending]):
            advance(1)
    return {"texts": len(texts), "shards": len(tasks), "model": model, "output": target}


def _tasks(
    config: RunConfig, texts: list[str], target: str, model: str, registry: str, probe: str | None
) -> Iterator[dict[str, Any]]:
    for number, start in enumerate(range(0, len(texts), _SHARD)):
        part = texts[start : start + _SHARD]
        yield {
            "texts": part,
            "target": storage.join(target, f"part-{number:05d}.jsonl"),
            "key": fingerprint(model, part),
            "model": model,
            "tracking_uri": registry,
            "probe": probe,
            "threads": config.resources.threads,
        }


def _done(task: dict[str, Any]) -> bool:
    marker = f"{task['target']}.done.json"
    return storage.exists(marker) and storage.read_json(marker)["key"] == task["key"]


def main() -> None:
    """`python -m ray_jobs.score --input log.jsonl --output verdicts/ [--model ...]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--input", required=True, help=".jsonl[.gz] with a `text` a line")
    parser.add_argument("--output", required=True, help="folder or URI of the verdict shards")
    parser.add_argument("--model", default="models:/copylens@champion")
    parser.add_argument("--probe", help="where the LM lies now, if it has moved")
    words = parser.parse_args()
    try:
        config = job_config(words.config, words.set, tracks=words.model.startswith("models:/"))
        if submitted():
            require_absolute_place("--input", words.input)
            require_absolute_place("--output", words.output)
        summary = run(config, words.input, words.output, words.model, words.probe)
    except CopyLensError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
