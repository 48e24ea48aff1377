"""`python -m benchmarks.chaos`: jobs whose workers, nodes and drivers are killed at random.

A cluster of several nodes on this machine runs embed, train and score twice: once undisturbed,
once while a killer sends SIGKILL to a random worker process, node or driver every few seconds. A
killed node is replaced by an empty one and a killed driver is started again, as an operator or a
job controller would. What the two leave must be the same, byte by byte.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.support.memory import descendants
from benchmarks.support.workload import save_lm, standard_library, write_corpus
from copylens.config.load import build_config
from copylens.config.schema import RunConfig
from copylens.states.embed import plan
from copylens.states.shards import read_states
from copylens.store import storage

KINDS = ("worker", "node", "driver")
KILLS = {"embed": 8, "train": 4, "score": 8}
PAUSE = (1.5, 5.0)  # seconds between two kills
PASSAGES = 1280
SHARD = 16
LM = {"hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4}
_WORKERS = ("ray::MapWorker", "ray::RayTrainWorker")


def main() -> None:
    """Runs everything and prints the JSON line last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smallest", action="store_true", help="embed alone, and one kill")
    words = parser.parse_args()
    size = {"kills": {"embed": 1}, "passages": 256} if words.smallest else {}
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(chaos(Path(folder), words.seed, **size)))


def chaos(
    folder: Path, seed: int, kills: dict[str, int] = KILLS, passages: int = PASSAGES
) -> dict[str, object]:
    """Both runs and the comparison: kills, jobs, rows lost and doubled, identical or not.

    Args:
        kills: stage after ingest -> how often it is struck; in order, and no other stage is run.
    """
    texts = standard_library(passages)
    model = save_lm(folder / "lm", texts, LM)
    corpus = write_corpus(folder / "corpus.jsonl", texts)
    calm, stormy = (_config(folder / name, corpus, model) for name in ("calm", "stormy"))
    scorer = storage.join(calm.output, "model")
    done: list[str] = []
    with MachineCluster() as cluster:
        for config in (calm, stormy):
            (folder / f"{Path(config.output).name}.yaml").write_text(config.to_yaml())
            for stage in ("ingest", *kills):
                words = _words(stage, folder, config, scorer)
                count = kills.get(stage, 0) if config is stormy else 0
                killer = Killer(cluster, random.Random(f"{seed} {stage}"), count)
                job = Job(words, cluster.address, folder / f"{stage}.log")
                done += run_job(job, killer)
                if config is stormy:
                    _tell(stage, killer)
    return {
        "kills": len(done),
        "by_kind": dict(Counter(done)),
        "jobs": len(kills),
        **_differences(calm, stormy, len(texts) if "score" in kills else 0),
    }


class MachineCluster:
    """Ray nodes that are processes of this machine: a head and two that do the work."""

    def __enter__(self) -> "MachineCluster":
        from ray.cluster_utils import Cluster

        # A dead node is noticed in seconds, so that the run is about recovery, not about waiting.
        health = {"health_check_period_ms": 1000, "health_check_failure_threshold": 5}
        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "object_store_memory": 150 * 2**20,
                "include_dashboard": False,
                "_system_config": health,
            },
        )
        self._nodes = [self._add(), self._add()]
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.shutdown()

    @property
    def address(self) -> str:
        """Where drivers connect."""
        return str(self._cluster.address)

    def replace_node(self, number: int) -> None:
        """Kills a node with all that runs on it; an empty one takes its place."""
        self._cluster.remove_node(self._nodes[number], allow_graceful=False)
        self._nodes[number] = self._add()

    def _add(self) -> object:
        return self._cluster.add_node(num_cpus=2, object_store_memory=150 * 2**20)


@dataclass
class Job:
    """A stage in a process of its own; it can be killed and started again."""

    words: Sequence[str]
    address: str
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the driver anew."""
        environment = {**os.environ, "RAY_ADDRESS": self.address, "OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.words, env=environment, stdout=out, stderr=out, start_new_session=True
            )

    def running(self) -> bool:
        """True until it ends well; a driver that fails by itself is an error."""
        assert self.process is not None
        code = self.process.poll()
        if code not in (None, 0):
            raise RuntimeError(f"{self.words[2]} failed:\n{self.log.read_text()[-3000:]}")
        return code is None

    def kill(self) -> None:
        """SIGKILL for the driver and what it started."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Killer:
    """Strikes at random: a worker process, a node, or the driver."""

    cluster: MachineCluster
    rng: random.Random
    left: int
    done: list[str] = field(default_factory=list)

    def strike(self, job: Job) -> None:
        """One kill; nothing where no worker is at work yet."""
        workers = list(_worker_processes())
        if not workers:
            return
        kind = self.rng.choice(KINDS)
        if kind == "worker":
            os.kill(self.rng.choice(workers), signal.SIGKILL)
        elif kind == "node":
            self.cluster.replace_node(self.rng.randrange(2))
        else:
            job.kill()
            job.start()
        self.done.append(kind)
        self.left -= 1


def run_job(job: Job, killer: Killer) -> list[str]:
    """Runs a job to its end while the killer strikes; returns what was killed."""
    job.start()
    while job.running():
        if not killer.left:
            time.sleep(0.2)
            continue
        time.sleep(killer.rng.uniform(*PAUSE))
        if job.running():
            killer.strike(job)
    return killer.done


def _worker_processes() -> Iterator[int]:
    """Ray's workers that are at work for a job, among what this process started."""
    for pid in descendants(os.getpid()):
        try:
            title = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:  # it ended while we looked
            continue
        if title.startswith(_WORKERS):
            yield pid


def _config(folder: Path, corpus: str, model: str) -> RunConfig:
    return build_config(
        {
            "output": str(folder),
            "corpus": {"paths": [corpus], "shard_passages": SHARD, "near_duplicate": 1.0},
            "probe": {"model": model},
            "attributor": {"epochs": 40, "patience": 40, "hidden": 32, "projection": 32},
            "detector": {"epochs": 2},
            "resources": {"train_workers": 2},
            "tracking": {"uri": f"sqlite:///{folder}.db"},
        }
    )


def _words(stage: str, folder: Path, config: RunConfig, scorer: str) -> list[str]:
    words = [sys.executable, "-m", f"ray_jobs.{stage}"]
    words += ["--config", str(folder / f"{Path(config.output).name}.yaml")]
    if stage == "score":
        # Both runs ask the same scorer, so that their verdicts can be compared as bytes.
        words += ["--input", str(folder / "corpus.jsonl"), "--model", scorer]
        words += ["--output", f"{config.output}/verdicts", "--shard-rows", str(SHARD)]
    return words


def _differences(calm: RunConfig, stormy: RunConfig, rows: int) -> dict[str, int | bool]:
    """What the disturbed run has too little or too often, and whether all its bytes agree.

    Args:
        rows: of the log that was scored.
    """
    states = Counter(row.id for task in plan(stormy) for row in read_states(task.target))
    verdicts = Counter(row["row"] for row in _verdicts(stormy))
    wanted = {row.id for task in plan(calm) for row in read_states(task.target)}
    lost = len(wanted - set(states)) + len(set(range(1, rows + 1)) - set(verdicts))
    doubled = sum(count - 1 for found in (states, verdicts) for count in found.values())
    same = all(_bytes_of(calm, name) == _bytes_of(stormy, name) for name in _outputs(calm))
    return {"lost": lost, "doubled": doubled, "identical": same}


def _outputs(config: RunConfig) -> list[str]:
    """State shards, the model's arrays and verdict shards, as paths below the output."""
    root = Path(config.output)
    patterns: tuple[Callable[[], Iterator[Path]], ...] = (
        lambda: root.glob("states/**/*.parquet"),
        lambda: root.glob("states/*.safetensors"),
        lambda: root.glob("model/*.safetensors"),
        lambda: root.glob("verdicts/part-*.jsonl"),
    )
    return sorted(str(path.relative_to(root)) for found in patterns for path in found())


def _bytes_of(config: RunConfig, name: str) -> bytes:
    path = Path(config.output) / name
    return path.read_bytes() if path.exists() else b"missing"


def _verdicts(config: RunConfig) -> list[dict[str, object]]:
    shards = sorted(Path(config.output).glob("verdicts/part-*.jsonl"))
    return [json.loads(line) for shard in shards for line in shard.read_text().splitlines()]


def _tell(stage: str, killer: Killer) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(killer.done).items())
    print(f"{stage}: killed {kinds or 'nothing'}", file=sys.stderr)


if __name__ == "__main__":
    main()
