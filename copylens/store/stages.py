"""A stage is complete when its marker carries the key of everything it depends on."""

from collections.abc import Callable
from typing import Any, Literal

from copylens.config.schema import RunConfig, fingerprint
from copylens.errors import CopyLensError
from copylens.store import storage

Stage = Literal["ingest", "embed", "index", "train", "evaluate", "promote", "audit"]

STAGES: tuple[Stage, ...] = ("ingest", "embed", "index", "train", "evaluate", "promote")
"""What `copylens run` does, in order. The audit needs ingest alone, and is asked for apart."""


def stages_of(config: RunConfig) -> tuple[Stage, ...]:
    """The stages that a run with this config has: no embed where no channel reads the LM, no index
    where `evidence.enabled` is off.
    """
    left_out = {"embed": not config.reads_lm, "index": not config.evidence.enabled}
    return tuple(stage for stage in STAGES if not left_out.get(stage))


def marker_uri(config: RunConfig, stage: Stage) -> str:
    """Where a stage leaves its marker."""
    return storage.join(config.output, f"{stage}.done.json")


def stage_key(config: RunConfig, stage: Stage, inputs: str) -> str:
    """Fingerprint of the settings and the inputs that a stage's outputs depend on."""
    sections: dict[Stage, tuple[Any, ...]] = {
        "ingest": (config.corpus, config.seed),
        "embed": (config.probe, config.seed),
        "index": (config.evidence,),
        "train": (
            config.attributor,
            config.channels,
            config.detector,
            config.calibration,
            config.seed,
        ),
        "evaluate": (config.evaluation, config.seed),
        "promote": (config.tracking,),
        "audit": (config.audit, config.probe, config.seed),
    }
    return fingerprint(stage, inputs, *sections[stage])


def upstream_hash(config: RunConfig, stage: Stage) -> str:
    """Hash of what the stage before left; an error that names it where it has not run."""
    before: dict[Stage, Stage] = {
        "embed": "ingest",
        "index": "ingest",
        "audit": "ingest",
        "train": "embed" if config.reads_lm else "ingest",
        "evaluate": "train",
        "promote": "evaluate",
    }
    found = output_hash(config, before[stage])
    if found is None:
        raise CopyLensError(
            f"{stage}: '{config.output}' has no finished {before[stage]}; run it first"
        )
    return found


def output_hash(config: RunConfig, stage: Stage) -> str | None:
    """Hash of what a stage left; None where it has not finished."""
    uri = marker_uri(config, stage)
    return str(storage.read_json(uri)["hash"]) if storage.exists(uri) else None


def completed(config: RunConfig, stage: Stage, inputs: str) -> dict[str, Any] | None:
    """What the stage recorded when it finished with these very settings and inputs, or None."""
    uri = marker_uri(config, stage)
    if not storage.exists(uri):
        return None
    marker: dict[str, Any] = storage.read_json(uri)
    return marker["summary"] if marker["key"] == stage_key(config, stage, inputs) else None


def complete(
    config: RunConfig, stage: Stage, inputs: str, left: str, summary: dict[str, Any]
) -> None:
    """Writes the marker: the last act of a stage.

    Args:
        left: hash of what the stage left.
        summary: what a re-run prints.
    """
    marker = {"key": stage_key(config, stage, inputs), "hash": left, "summary": summary}
    storage.write_json(marker_uri(config, stage), marker)


def run_once(
    config: RunConfig,
    stage: Stage,
    inputs: str,
    work: Callable[[], tuple[str, dict[str, Any]]],
) -> dict[str, Any]:
    """Does a stage's work unless it is complete with these very settings and inputs.

    Args:
        work: gives the hash of what it left and the summary that a re-run prints.

    Returns:
        The summary, with `stage` and `skipped`.
    """
    done = completed(config, stage, inputs)
    if done is not None:
        return {"stage": stage, "skipped": True, **done}
    left, summary = work()
    complete(config, stage, inputs, left, summary)
    return {"stage": stage, "skipped": False, **summary}
