"""The audit's part of the configuration."""

from typing import Literal

from pydantic import Field, model_validator

from copylens.config.section import Section

UnreadSplit = Literal["val", "test", "ood_val", "ood_test", "background"]


class AuditConfig(Section):
    """The audit: which sub-datasets, and what the LM has certainly not read."""

    sub_datasets: tuple[str, ...] = Field(default=(), description="which to audit; empty = all")
    unread_splits: tuple[UnreadSplit, ...] = Field(
        default=(),
        description="splits of the corpus that the LM has not read; OOD and background serve "
        "Self-Comparison alone",
    )
    unread_buckets: tuple[int, ...] = Field(
        default=(), description="id buckets (0..9) of train that the LM has not read"
    )
    against: tuple[str, ...] = Field(
        default=(),
        description="more passages that the LM has not read: sources as in corpus.paths, matched "
        "by `sub_dataset`",
    )
    passages: int = Field(
        default=300, ge=10, description="members per sub-dataset at most, and as many non-members"
    )
    reference: str = Field(
        default="",
        description="folder or hub id of an LM that has not read the sub-datasets; empty = n-grams "
        "of the passages themselves, each judged by counts without it",
    )
    paraphraser: str | None = Field(
        default="rules",
        description="for Self-Comparison: rules, or package.module:function (text, seed -> text); "
        "null = without it, in half the time",
    )
    alpha: float = Field(
        default=0.05, gt=0, lt=1, description="Holm-corrected p-values below it: trained on"
    )
    smallest_gap: float = Field(
        default=0.1,
        gt=0,
        description="nats per token; where the audit would have overlooked so much, silence is no "
        "evidence",
    )
    min_k: float = Field(default=0.2, gt=0, le=1, description="share of tokens in Min-K%")
    extraction_samples: int = Field(
        default=1000,
        ge=1,
        description="a continuation is extractable where one of so many drawn ones is the "
        "passage's own, word for word,",
    )
    extraction_probability: float = Field(
        default=0.5, gt=0, lt=1, description="with at least this probability"
    )
    permutations: int = Field(default=9999, ge=199)

    @model_validator(mode="after")
    def _buckets(self) -> "AuditConfig":
        if not set(self.unread_buckets) <= set(range(10)) or len(set(self.unread_buckets)) > 9:
            raise ValueError("unread_buckets takes buckets 0..9 and leaves one over")
        return self
