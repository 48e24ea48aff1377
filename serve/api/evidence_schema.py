"""What goes over the wire of evidence. `EvidenceOut` mirrors `copylens.evidence.index.Evidence`."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from copylens.records import EvidenceKind

EXAMPLE: dict[str, Any] = {
    "kind": "near-verbatim",
    "sub_dataset": "novels",
    "holder": "Sea Press",
    "license": "all rights reserved",
    "passage_id": "novels-3-00017",
    "title": "The Long Watch",
    "url": "https://example.org/the-long-watch",
    "start": 12,
    "end": 118,
    "passage_start": 840,
    "passage_end": 947,
    "words": 20,
    "matched": 19,
    "score": 61.4,
    "boilerplate": False,
    "passages": 1,
    "sub_datasets": 1,
}


class EvidenceOut(BaseModel):
    """A registered passage that the text has to do with; it is named and never quoted."""

    model_config = ConfigDict(frozen=True)

    kind: EvidenceKind = Field(
        description="near-verbatim: but for case, punctuation or changed words"
    )
    sub_dataset: str
    holder: str
    license: str
    passage_id: str
    title: str
    url: str
    start: int = Field(description="characters of the text, end exclusive")
    end: int
    passage_start: int = Field(description="characters of the passage, end exclusive")
    passage_end: int
    words: int
    matched: int = Field(description="how many of the words agree")
    score: float = Field(description="of a span: nats, larger = rarer; of a nearest passage: rank")
    boilerplate: bool = Field(description="mostly stock phrases or notices")
    passages: int = Field(description="registered passages in which nearly all of the span stands")
    sub_datasets: int
