"""One frozen configuration for a whole run; a copy is saved beside every output.

Every key has a type, a range and a default here and nowhere else. Unknown keys are errors that
name the nearest valid key, because a silently ignored setting is a wrong experiment.
"""

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from copylens.errors import ConfigError

Tap = Literal["heads", "attention", "mlp", "residual"]
Fusion = Literal["concat", "mean", "project"]


class Section(BaseModel):
    """Base of all sections: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CorpusConfig(Section):
    """Where the passages come from and how they are checked, cut, deduplicated and split."""

    paths: tuple[str, ...] = Field(
        default=(),
        description="registered sources: .jsonl[.gz], .parquet, a folder of text, "
        "hf://NAME?split=train, or dist://DISTRIBUTION",
    )
    ood_paths: tuple[str, ...] = Field(
        default=(), description="texts known to draw on nothing registered (evaluation only)"
    )
    background_paths: tuple[str, ...] = Field(
        default=(), description="texts owned by nobody registered (may train the detector)"
    )
    min_chars: int = Field(default=100, ge=1, description="shorter passages go to quarantine")
    passage_chars: int = Field(default=1600, ge=200, description="where longer texts are cut")
    max_passages: int | None = Field(
        default=None, ge=1, description="at most so many passages per sub-dataset, evenly spread"
    )
    val_fraction: float = Field(default=0.12, gt=0, lt=0.5, description="share of split groups")
    test_fraction: float = Field(default=0.20, gt=0, lt=0.5, description="share of split groups")
    near_duplicate: float = Field(
        default=0.8, gt=0, le=1, description="Jaccard similarity of word 5-grams; 1 = exact only"
    )
    shard_passages: int = Field(default=256, ge=1, description="passages per shard")


class ProbeConfig(Section):
    """The target LM and what is read from it."""

    model: str = Field(default="", description="folder or hub id of a causal LM or an encoder")
    revision: str | None = Field(default=None, description="hub revision; null for a folder")
    tap: Tap = Field(default="heads", description="what is read in each layer")
    layers: Literal["all"] | tuple[int, ...] = Field(
        default="all", description="0-based layers; negative ones count from the last"
    )
    fusion: Fusion = Field(default="concat", description="how layers are joined")
    project_dim: int = Field(
        default=128, ge=1, description="features per layer with fusion: project"
    )
    window: int = Field(default=16, ge=1, description="tokens averaged into one state")
    embeddings: bool = Field(default=True, description="token embeddings beside the states")
    likelihood: bool = Field(default=True, description="log-probability, entropy, rank per window")
    max_tokens: int | None = Field(
        default=None, ge=8, description="tokens per passage; null = the LM's context length"
    )
    batch_tokens: int = Field(default=4096, ge=1, description="padded tokens per forward pass")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:0 ...")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="precision of the forward pass; states are stored as fp16"
    )
    module_pattern: str | None = Field(
        default=None,
        description="dotted path of a layer's attention output projection with {layer} in it, "
        "for architectures that are not built in",
    )


class AttributorConfig(Section):
    """The LSTM that turns states into shares, and how it is trained."""

    hidden: int = Field(default=96, ge=1, description="LSTM width")
    projection: int = Field(default=128, ge=1, description="width the states are projected to")
    dropout: float = Field(default=0.3, ge=0, lt=1)
    epochs: int = Field(default=12, ge=1)
    patience: int = Field(default=3, ge=1, description="epochs without a better val loss")
    batch_size: int = Field(default=32, ge=1, description="passages per step, over all workers")
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    mixture_fraction: float = Field(
        default=0.25, ge=0, le=1, description="share of training items that are mixtures"
    )
    mixture_parts: int = Field(default=4, ge=2, description="at most so many passages in one")
    folds: int = Field(
        default=2,
        ge=2,
        description="parts of train, by split group, where val shares groups with it",
    )


class ChannelsConfig(Section):
    """Which evidence a verdict uses."""

    attention: bool = True
    likelihood: bool = True
    lexical: bool = True

    @model_validator(mode="after")
    def _at_least_one(self) -> "ChannelsConfig":
        if not (self.attention or self.likelihood or self.lexical):
            raise ValueError("channels: at least one of attention, likelihood, lexical must be on")
        return self


class DetectorConfig(Section):
    """The contrastive projector and the scores read from its space."""

    embedding: int = Field(default=64, ge=2, description="Z, width of the embedding")
    epochs: int = Field(default=15, ge=1)
    batch_size: int = Field(default=128, ge=4)
    learning_rate: float = Field(default=1e-3, gt=0)
    nt_xent: bool = Field(default=True, description="two views of one passage attract")
    supcon: bool = Field(default=True, description="passages of one sub-dataset attract")
    nt_xent_temperature: float = Field(default=0.05, gt=0)
    supcon_temperature: float = Field(default=0.07, gt=0)
    neighbours: tuple[int, ...] = Field(default=(1, 5, 10, 50), description="k tried on val")


class CalibrationConfig(Section):
    """How sure a verdict is allowed to be."""

    alpha: float = Field(default=0.05, gt=0, lt=1, description="false-alarm level")
    interval: float = Field(default=0.90, gt=0, lt=1, description="coverage of a share's interval")
    abstain_below: float = Field(
        default=0.5, ge=0, le=1, description="abstain when the top share is smaller than this"
    )


class TrackingConfig(Section):
    """MLflow: where runs and versions are kept, and what a champion must show."""

    uri: str | None = Field(
        default=None, description="null = $MLFLOW_TRACKING_URI, else sqlite:///copylens.db"
    )
    experiment: str = Field(default="copylens", min_length=1)
    model_name: str = Field(default="copylens", min_length=1)
    gates: dict[str, str] = Field(
        default_factory=dict,
        description='figure of report.json -> bound, e.g. {"attribution.accuracy": ">= 0.9"}',
    )


class ResourcesConfig(Section):
    """What the cluster is asked for. On a laptop Ray is started with these numbers."""

    cpus: int = Field(
        default=4, ge=2, description="logical CPUs of a local Ray; fewer than 4 can starve it"
    )
    embed_workers: int = Field(default=2, ge=1)
    cpus_per_worker: float = Field(default=0.5, gt=0)
    gpus_per_worker: float = Field(default=0.0, ge=0)
    train_workers: int = Field(default=1, ge=1)
    threads: int = Field(default=1, ge=1, description="torch threads per embed worker")
    object_store_mb: int = Field(default=512, ge=80)


class RunConfig(Section):
    """Everything one run depends on."""

    output: str = Field(default="runs/default", min_length=1, description="folder or URI")
    seed: int = Field(default=0, ge=0)
    corpus: CorpusConfig = CorpusConfig()
    probe: ProbeConfig = ProbeConfig()
    attributor: AttributorConfig = AttributorConfig()
    channels: ChannelsConfig = ChannelsConfig()
    detector: DetectorConfig = DetectorConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    tracking: TrackingConfig = TrackingConfig()
    resources: ResourcesConfig = ResourcesConfig()

    def to_yaml(self) -> str:
        """This configuration as YAML that `load_config` reads back unchanged."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def fingerprint(*parts: Any) -> str:
    """Short sha256 over JSON of the parts (sections, strings, numbers): the key of a stage."""
    plain = [p.model_dump(mode="json") if isinstance(p, BaseModel) else p for p in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def load_config(path: str | Path | None, overrides: Sequence[str] = ()) -> RunConfig:
    """Reads a YAML file, applies `key=value` overrides, checks everything.

    Args:
        path: YAML file, or None for the defaults alone.
        overrides: dotted keys with YAML values, e.g. `corpus.paths=[a.jsonl]`, `seed=1`.

    Returns:
        The config with `output` and a local `probe.model` made absolute, since workers run in
        folders of their own.

    Raises:
        ConfigError: the file is missing or no mapping, a key is unknown, a value is out of range.
    """
    values = {} if path is None else _read_yaml(Path(path))
    where = "config" if path is None else str(path)
    for override in overrides:
        _apply_override(values, override)
    return _anchored(build_config(values, where))


def _anchored(config: RunConfig) -> RunConfig:
    output, model = config.output, config.probe.model
    if "://" not in output:
        output = str(Path(output).absolute())
    if model and Path(model).is_dir():
        model = str(Path(model).absolute())
    probe = config.probe.model_copy(update={"model": model})
    return config.model_copy(update={"output": output, "probe": probe})


def build_config(values: Mapping[str, Any], where: str = "config") -> RunConfig:
    """Builds a RunConfig from nested plain values; `where` names their origin in errors."""
    for key, valid in _unknown_keys(values, RunConfig, ""):
        near = difflib.get_close_matches(key, valid, n=1, cutoff=0.0)
        raise ConfigError(f"{where}: unknown key '{key}'; the nearest valid key is '{near[0]}'")
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {key}: {reason}, got {first['input']!r}") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise ConfigError(f"config file '{path}' is not there") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        summary = " ".join(str(error).split())
        raise ConfigError(f"config file '{path}' cannot be read: {summary}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"config file '{path}' must hold keys and values, not a {type(values)}")
    return values


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, equals, raw = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set takes key=value, got '{override}'")
    try:
        value = yaml.safe_load(raw)
    except yaml.YAMLError:
        raise ConfigError(f"--set {key}: '{raw}' is not valid YAML") from None
    *parents, last = key.split(".")
    node = values
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {key}: '{parent}' holds a value, not further keys")
        node = child
    node[last] = value


def _unknown_keys(
    values: Mapping[str, Any], section: type[BaseModel], prefix: str
) -> Iterator[tuple[str, list[str]]]:
    """Yields each unknown dotted key with the valid keys at its place."""
    for key, value in values.items():
        field = section.model_fields.get(str(key))
        if field is None:
            yield f"{prefix}{key}", _valid_keys(RunConfig, "")
        elif isinstance(value, Mapping) and (inner := _section(field.annotation)) is not None:
            yield from _unknown_keys(value, inner, f"{prefix}{key}.")


def _valid_keys(section: type[BaseModel], prefix: str) -> list[str]:
    keys: list[str] = []
    for name, field in section.model_fields.items():
        if (inner := _section(field.annotation)) is not None:
            keys += _valid_keys(inner, f"{prefix}{name}.")
        keys.append(f"{prefix}{name}")
    return keys


def _section(annotation: Any) -> type[Section] | None:
    is_section = isinstance(annotation, type) and issubclass(annotation, Section)
    return annotation if is_section else None
