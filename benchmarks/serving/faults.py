"""Replicas that are killed, and champions that change, while clients go on asking."""

import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving.golden import difference
from benchmarks.serving.inprocess import InProcess
from benchmarks.serving.load import Answer, Job, Load
from benchmarks.serving.service import Server, service, wait_for
from benchmarks.serving.texts import Case

_CLIENTS = 8
_SAME = 1e-5


def kills(case: Case, tell: Callable[[str, Any], None]) -> dict[str, float]:
    """SIGKILL for a random replica every 5 s for 60 s. Every answer is compared with the scorer's
    own; clients try once more where they got none."""
    size, texts = case.size, case.texts(64, 24)
    with InProcess(case) as alone:
        expected = alone.verdicts(texts)
    rng = random.Random(0)
    struck: list[str] = []
    with (
        service(case, replicas_min=3, replicas_max=3, ingresses=2) as ours,
        Load(Job(ours.url, texts, size.faults_s + 5, _CLIENTS, retries=1, keep=True)) as load,
    ):
        end = time.monotonic() + size.faults_s
        while time.monotonic() < end:
            time.sleep(size.kill_every_s)
            struck += _strike(ours, rng)
        answers = load.answers()
    failed = [answer for answer in answers if not answer.ok]
    tell("killed", dict(Counter(struck)))
    tell("answers", facts(answers))
    return {
        "kill_failed_share": len(failed) / len(answers),
        "kill_wrong": wrong(answers, expected),
    }


def switches(case: Case, tell: Callable[[str, Any], None]) -> dict[str, float]:
    """The alias `champion` moves five times between two versions; no client tries twice."""
    texts = case.texts(64, 24)
    with tempfile.TemporaryDirectory() as folder:
        registry = Registry(case, Path(folder))
        uri = "models:/copylens@champion"
        with (
            service(case, model=uri, tracking_uri=registry.uri, poll_s=0.5) as ours,
            Load(Job(ours.url, texts, 18.0 * case.size.switches, _CLIENTS, keep=True)) as load,
        ):
            time.sleep(3)
            took = [
                _switch(ours, registry, number % 2) for number in range(1, case.size.switches + 1)
            ]
            answers = load.answers()
    said = Counter((answer.body or {}).get("model", {}).get("version") for answer in answers)
    tell("seconds until a new champion answers", [round(s, 1) for s in took])
    tell("answers", {**facts(answers), "by_version": dict(said)})
    unknown = sum(count for version, count in said.items() if version not in registry.versions)
    return {"switch_failed": max(unknown, sum(not answer.ok for answer in answers))}


class Registry:
    """An MLflow of its own with the same scorer in two versions."""

    def __init__(self, case: Case, folder: Path):
        from copylens.config.schema import RunConfig
        from copylens.registry.tracker import Tracker
        from copylens.verdict.bundle import FILES

        self.uri = f"sqlite:///{folder}/mlflow.db"
        config = RunConfig.model_validate(
            {"output": str(folder / "run"), "tracking": {"uri": self.uri}}
        )
        bundle = folder / "bundle"
        bundle.mkdir()
        for file in FILES:
            shutil.copy(Path(case.bundle, file), bundle)
        self._tracker, self._name = Tracker(config), config.tracking.model_name
        run = self._tracker.log_training(config, {}, 0.0, {})
        self.versions = [
            self._tracker.register(run, self._name, str(bundle), "an example", {}) for _ in range(2)
        ]
        self.move(0)

    def move(self, number: int) -> str:
        """Makes one of the versions the champion."""
        self._tracker.move_alias(self._name, self.versions[number])
        return self.versions[number]


def wrong(answers: Sequence[Answer], expected: Sequence[dict[str, Any]]) -> int:
    """Answers that say something else than the scorer itself."""
    return sum(
        difference(expected[answer.text], answer.body or {}) > _SAME
        for answer in answers
        if answer.ok
    )


def facts(answers: Sequence[Answer]) -> dict[str, Any]:
    """Numbers of answers, of second tries, and what failed."""
    failed = Counter(f"{answer.status} {_code(answer.body)}" for answer in answers if not answer.ok)
    return {
        "requests": len(answers),
        "retried": sum(answer.tries > 1 for answer in answers),
        "longest_s": round(max(answer.seconds for answer in answers), 2),
        "failed": dict(failed),
    }


def _code(body: dict[str, Any] | None) -> str:
    error = (body or {}).get("error", "")
    return str(error["code"] if isinstance(error, dict) else error)


def _strike(server: Server, rng: random.Random) -> list[str]:
    """Kills one replica, of whichever deployment; tells which."""
    pids = {"Scorer": server.replicas("Scorer"), "Ingress": server.replicas("Ingress")}
    living = [(name, pid) for name, found in pids.items() for pid in found]
    if not living:
        return []
    name, pid = rng.choice(living)
    os.kill(pid, signal.SIGKILL)
    return [name]


def _switch(server: Server, registry: Registry, number: int) -> float:
    """Seconds from the move of the alias until the service says that the version answers."""
    version = registry.move(number)

    def answers() -> bool:
        found = server.get("/readyz")
        return found is not None and found["model"]["version"] == version

    return wait_for(answers, 60, f"version {version} did not take over")
