"""Examples of responses for /openapi.json. Tests validate them against the schema."""

import json
from typing import Any

from copylens.evidence.index import Citation
from copylens.records import ModelIdentity, Rights, Share, TimelineItem, Verdict
from serve.api.policy import Ruling

_MODEL = ModelIdentity("copylens", "7", "EleutherAI/pythia-70m", "e93a9faa9c77")
_RIGHTS = Rights("novels", "Sea Press", "all rights reserved")
_EVIDENCE = Citation(
    kind="near-verbatim",
    **_RIGHTS.entry(),
    passage_id="novels-3-00017",
    title="The Long Watch",
    url="https://example.org/the-long-watch",
    start=12,
    end=118,
    passage_start=840,
    passage_end=947,
    words=20,
    matched=19,
    score=61.4,
)
_VERDICT = Verdict(
    text_sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    decision="registered",
    p_value=0.62,
    ood_score=0.8,
    shares=(Share(**_RIGHTS.entry(), share=0.81, low=0.7, high=0.9, quoted=0.75),),
    unregistered=0.19,
    timeline=(TimelineItem(0, 141, {"novels": 0.81}, 0.19),),
    model=_MODEL,
    tokens=33,
    evidence=(_EVIDENCE.to_dict(),),
    evidence_reason=None,
    id="7",
    document="essay 3",
)
_RULING = Ruling("flag", "default", "Sea Press", "novels", 0.81, "b1946ac92492")

# Through JSON, since pydantic takes no tuples in examples.
VERDICT: dict[str, Any] = json.loads(json.dumps({**_VERDICT.to_dict(), "policy": vars(_RULING)}))
REGISTRY: dict[str, Any] = {
    "model": vars(_MODEL),
    "alpha": 0.05,
    "smallest_p": 0.0033,
    "interval": 0.9,
    "generation": True,
    "sub_datasets": [vars(_RIGHTS)],
    "lineage": {"corpus_manifest": "5d41402a", "copylens": "0.1.0"},
    "audit": {},
    "policy": {"id": "b1946ac92492", "idle_rules": [], "problem": None},
}
