"""A log of verdicts brought up to a version after a takedown, on Ray Data actors, file by file."""

import time
from dataclasses import asdict
from typing import Any

import torch

from copylens.config.schema import RunConfig
from copylens.corpus.tombstones import removed_since
from copylens.registry.reader import bundle_folder, load_scorer
from copylens.registry.server import tracking_uri
from copylens.store import storage
from copylens.takedown.relogging import (
    RescoreTask,
    count_rescored,
    plan_rescoring,
    rescore_file,
)
from copylens.takedown.rescoring import LEAST_SHARE, Change
from copylens.verdict.bundle import SCORER_FILE
from copylens.verdict.scorer import Scorer
from ray_jobs.cluster.command import config_parser, log_main
from ray_jobs.cluster.pool import ShardActor, work_through


class RescoreActor(ShardActor):
    """One worker: loads the scorer at the first text that it needs it for."""

    def __init__(self) -> None:
        self._scorer: Scorer | None = None

    def work(self, values: dict[str, Any]) -> int:
        """Brings a file of the log up to date; returns its number of verdicts."""
        task = RescoreTask(**values["task"])

        def score(texts: Any, evidence: bool) -> Any:
            return self._loaded(values).verdicts(texts, evidence=evidence)

        rescore_file(task, Change.from_dict(values["change"]), score)
        return task.verdicts

    def _loaded(self, values: dict[str, Any]) -> Scorer:
        if self._scorer is None:
            torch.set_num_threads(values["threads"])
            self._scorer = load_scorer(*values["scorer"])
        return self._scorer


def find_change(
    model: str, since: str, registry: str, probe: str | None, least_share: float
) -> tuple[Change, Scorer]:
    """What lies between version `since` of a model and the named one, and that one's scorer.

    Raises:
        ModelError: one of the versions is not in the registry, or damaged.
    """
    folder, name, version = bundle_folder(model, registry)
    scorer = Scorer.load(folder, name, version, probe)
    earlier, _, _ = bundle_folder(f"models:/{name}/{since}", registry)
    arrays = storage.read_json(storage.join(earlier, SCORER_FILE))["arrays_sha256"]
    removed = removed_since(scorer.lineage, arrays)
    return Change(since, removed, scorer.identity, least_share), scorer


def run(
    config: RunConfig,
    log: str,
    target: str,
    since: str,
    texts: str | None,
    model: str,
    probe: str | None = None,
    least_share: float = LEAST_SHARE,
) -> dict[str, Any]:
    """What `copylens rescore` does, on a cluster; complete files are skipped."""
    start = time.perf_counter()
    registry = tracking_uri(config.tracking.uri)
    change, scorer = find_change(model, since, registry, probe, least_share)
    # The alias is resolved once, so that one log is judged by one version throughout.
    version = f"models:/{scorer.identity.name}/{scorer.identity.version}"
    tasks = plan_rescoring(log, target, change, texts)
    pending = [task for task in tasks if not task.done]
    given = {
        "change": change.to_dict(),
        "scorer": [version if model.startswith("models:/") else model, registry, probe],
        "threads": config.resources.threads,
    }
    todo = [{"task": asdict(task), **given} for task in pending]
    total = sum(task.verdicts for task in pending)
    work_through(config, RescoreActor, todo, "rescore", total, "verdicts")
    return {
        "stage": "rescore",
        "skipped": False,
        **count_rescored(tasks),
        "files": len(tasks),
        "files_resumed": len(tasks) - len(pending),
        "output": target,
        "seconds": round(time.perf_counter() - start, 1),
    }


def main() -> None:
    """`python -m ray_jobs.rescore --log verdicts/ --since 3 --texts log.jsonl --output DIR`."""
    parser = config_parser(__doc__)
    parser.add_argument("--log", required=True, help="verdicts of the earlier version; any URI")
    parser.add_argument("--since", required=True, help="the version that judged them")
    parser.add_argument("--output", required=True, help="another folder or URI")
    parser.add_argument("--texts", help="the texts of the log, where any verdict could change")
    parser.add_argument("--model", default="models:/copylens@champion")
    parser.add_argument("--least-share", type=float, default=LEAST_SHARE)
    parser.add_argument("--probe", help="where the LM lies now, if it has moved")
    words = parser.parse_args()
    given = (words.log, words.output, words.since, words.texts, words.model, words.probe)
    paths = ("log", "output", "texts")
    log_main(words, paths, True, lambda config: run(config, *given, words.least_share))


if __name__ == "__main__":
    main()
