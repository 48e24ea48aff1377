"""The scorer as a registry's generic model: a table of texts in, a table of verdicts out.

MLflow names this module in the model it stores and calls `_load_pyfunc`; nothing here imports it.
"""

import json
import os
from importlib.metadata import version
from typing import Any

import pandas as pd

from copylens.errors import TextError
from copylens.verdict.scorer import Scorer

REQUIREMENTS = tuple(
    f"{name}=={version(name)}"
    for name in (
        "copylens",
        "torch",
        "transformers",
        "safetensors",
        "scikit-learn",
        "scipy",
        "numpy",
        "pandas",
        "pyarrow",
        "pydantic",
        "pyyaml",
    )
)


def output_columns() -> dict[str, str]:
    """Columns of a prediction with their types."""
    return {
        "decision": "string",
        "abstain_reason": "string",
        "top_sub_dataset": "string",
        "top_share": "double",
        "top_quoted": "double",
        "unregistered": "double",
        "p_value": "double",
        "ood_score": "double",
        "verdict": "string",
    }


class VerdictModel:
    """What MLflow calls `predict` on."""

    def __init__(self, scorer: Scorer):
        self.scorer = scorer

    def predict(self, table: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Scores the column `text`; one row per text, `verdict` is the whole verdict as JSON.

        It has the row's `id` and `document` where the table has such columns.

        Raises:
            TextError: there is no such column, or a text is empty.
        """
        if "text" not in table:
            raise TextError(f"the table needs a column 'text', it has {list(table.columns)}")
        rows = []
        found = self.scorer.verdicts([str(text) for text in table["text"]])
        names = [table[key] if key in table else [None] * len(found) for key in ("id", "document")]
        for verdict, *named in zip(found, *names):
            verdict = verdict.named(*(None if pd.isna(name) else name for name in named))
            top = verdict.shares[0]
            rows.append(
                {
                    "decision": verdict.decision,
                    "abstain_reason": verdict.abstain_reason,
                    "top_sub_dataset": top.sub_dataset,
                    "top_share": top.share,
                    "top_quoted": top.quoted,
                    "unregistered": verdict.unregistered,
                    "p_value": verdict.p_value,
                    "ood_score": verdict.ood_score,
                    "verdict": json.dumps(verdict.to_dict()),
                }
            )
        return pd.DataFrame(rows, columns=list(output_columns()))


def _load_pyfunc(path: str) -> VerdictModel:
    """Called by the registry. $COPYLENS_PROBE says where the LM lies, if it has moved."""
    return VerdictModel(Scorer.load(path, probe=os.environ.get("COPYLENS_PROBE")))
