"""What an evidence index holds and what a trace reports."""

from pydantic import Field

from copylens.config.section import Section


class EvidenceConfig(Section):
    """Spans and nearest passages; only `part_passages` and `states` shape the index itself."""

    enabled: bool = Field(default=True, description="`copylens run` builds the index")
    part_passages: int = Field(
        default=16_000, ge=1, le=65_535, description="passages in one shard of the index"
    )
    states: bool = Field(
        default=True, description="mean states beside the words, where embed has left states"
    )
    min_words: int = Field(
        default=8, ge=6, description="words of the shortest run that is reported by itself"
    )
    near_words: int = Field(
        default=10, ge=6, description="words that must agree in a span with changed words"
    )
    near_share: float = Field(
        default=0.7, ge=0.5, le=1, description="share of such a span's words that must agree"
    )
    max_spans: int = Field(default=20, ge=1, description="spans per text, rarest first")
    nearest: int = Field(default=5, ge=0, description="nearest passages per text")
    boilerplate_sub_datasets: int = Field(
        default=3, ge=2, description="words found in so many sub-datasets are stock phrases"
    )
    boilerplate_groups: int = Field(
        default=12, ge=2, description="words found in so many split groups are stock phrases"
    )
