"""Stage 3: states -> attributor and detector on Ray Train workers, then calibration."""

import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
from ray.train import (
    Checkpoint,
    CheckpointConfig,
    ControllerError,
    FailureConfig,
    ScalingConfig,
)
from ray.train.torch import TorchConfig, TorchTrainer

from copylens.config.load import build_config
from copylens.config.schema import RunConfig, fingerprint
from copylens.corpus import load_manifest
from copylens.detector.calibration import unreachable
from copylens.fit.data import check_size, load_training_data
from copylens.fit.model import fit_model
from copylens.fit.networks import FitState, fit_networks
from copylens.registry.tracker import Tracker
from copylens.store import storage
from copylens.store.stages import marker_uri, run_once, stage_key, upstream_hash
from copylens.verdict.lineage import lineage_of
from copylens.verdict.scorer import Scorer
from ray_jobs.cluster.command import stage_main
from ray_jobs.cluster.session import ray_session, user_errors
from ray_jobs.reading import read_texts

_STATE = "fit_state.pt"
_WORKER_FAILURES = 8  # until a training is given up; each costs an epoch at most
_FITS = 3

WITHOUT_LM = (
    "shares, detector and evidence rest on words alone: no attention channel, no LM's loss, no "
    "generation, no audit"
)
"""What a model that was trained without an LM does without; told by train's summary."""


def train_loop(settings: dict[str, Any]) -> None:
    """What each worker runs: fits all networks, checkpoints and reports after every epoch."""
    config = build_config(settings)
    # Ray gives each worker one thread by default; the workers share the machine's cores.
    torch.set_num_threads(config.resources.threads)
    data = load_training_data(config, networks_only=True)
    checkpoint = ray.train.get_checkpoint()
    state = FitState() if checkpoint is None else _read(checkpoint)
    first = ray.train.get_context().get_world_rank() == 0

    def on_epoch(state: FitState, name: str) -> None:
        assert state.current is not None
        curve = state.current.curve
        _report(state, {"fit": name, "epoch": len(curve), **curve[-1]}, first)

    fit_networks(config, data, state, on_epoch, str(ray.train.torch.get_device()))
    _report(state, {"fit": "all", "epoch": 0}, first)


def run(config: RunConfig) -> dict[str, Any]:
    """Trains, calibrates, saves the scorer to `<output>/model`, and logs to MLflow."""
    inputs = upstream_hash(config, "train")
    return run_once(config, "train", inputs, lambda: _work(config, inputs))


def _work(config: RunConfig, inputs: str) -> tuple[str, dict[str, Any]]:
    start = time.perf_counter()
    check_size(config)
    # Asks for the LM's weights: that they are not there is told before hours of fitting.
    lineage = lineage_of(config)
    tracker = Tracker(config)
    state = FitState()
    if config.reads_lm:
        with ray_session(config), user_errors():
            state = fit_on_workers(config, inputs)
    data = load_training_data(config)
    model = fit_model(config, data, state, partial(read_texts, config))
    rights = load_manifest(config.output).rights
    scorer = Scorer(model, rights, config, lineage)
    scorer.save(storage.join(config.output, "model"))
    seconds = time.perf_counter() - start
    run_id = tracker.log_training(config, state.curves, seconds, scorer.lineage)
    summary = {
        "fits": {name: curve[-1] for name, curve in state.curves.items()},
        "channel_weights": model.attributor.text_fusion.weights,
        "smallest_level": round(model.detector.smallest_p, 5),
        "cannot": unreachable(config.calibration.alpha, model.detector.smallest_p),
        "without_lm": None if config.reads_lm else WITHOUT_LM,
        "seconds": round(seconds, 1),
        "mlflow_run": run_id,
    }
    model_hash = fingerprint(storage.read_json(storage.join(config.output, "model/scorer.json")))
    return model_hash, summary


def trained(config: RunConfig) -> dict[str, Any]:
    """What the finished training recorded, the id of its MLflow run among it."""
    summary: dict[str, Any] = storage.read_json(marker_uri(config, "train"))["summary"]
    return summary


def fit_on_workers(config: RunConfig, inputs: str) -> FitState:
    """Runs the loop on the configured workers and brings back what they fitted.

    The run is named by its settings and inputs, so a driver that died finds its checkpoint.
    """
    # A report waits until the controller looks, by default every two seconds; an epoch is shorter.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    resources = config.resources
    gpus = resources.train_gpus_per_worker
    filesystem, path = storage.resolve(storage.join(config.output, "ray"))
    trainer = TorchTrainer(
        train_loop,
        train_loop_config=config.model_dump(mode="json"),
        scaling_config=ScalingConfig(
            num_workers=resources.train_workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": 1} | ({"GPU": gpus} if gpus else {}),
        ),
        run_config=ray.train.RunConfig(
            name=f"train-{stage_key(config, 'train', inputs)}",
            storage_path=path,
            storage_filesystem=filesystem,
            failure_config=FailureConfig(max_failures=_WORKER_FAILURES),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
        ),
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if gpus else "gloo"),
    )
    for attempt in range(_FITS):
        try:
            result = trainer.fit()
            break
        except ControllerError:
            # The controller missed an actor on a node that died; the checkpoint is all it needs.
            if attempt == _FITS - 1:
                raise
    assert result.checkpoint is not None
    return _read(result.checkpoint)


def _report(state: FitState, metrics: dict[str, Any], first: bool) -> None:
    """Every rank reports equally often; only the first one carries the checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if first:
            (Path(folder) / _STATE).write_bytes(state.to_bytes())
            checkpoint = Checkpoint.from_directory(folder)
        ray.train.report(metrics, checkpoint=checkpoint)


def _read(checkpoint: Checkpoint) -> FitState:
    with checkpoint.as_directory() as folder:
        return FitState.from_bytes((Path(folder) / _STATE).read_bytes())


if __name__ == "__main__":
    stage_main(__doc__, run, tracks=True)
