"""The audit in report.html: whether the LM was trained on each sub-dataset, and what that means.

The audit is made apart from the evaluation, before or after it, so its section lies between two
marks: it can be filled later without measuring anything again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from copylens.templates import page_template

_TEMPLATE = Path(__file__).parent / "audit.html.jinja"
_START, _END = "<!-- audit -->", "<!-- end of audit -->"

TEST_NAMES = {
    "dataset_inference": "dataset inference",
    "loss": "loss",
    "zlib": "zlib ratio",
    "min_k": "Min-K%",
    "min_k_plus_plus": "Min-K%++",
    "reference": "reference ratio",
    "self_comparison": "Self-Comparison",
}


def insert_audit(page: str, audit: Mapping[str, Any] | None) -> str:
    """The page with its audit section, in place of the one it had.

    Args:
        page: report.html; one without the marks, of an older version, stays as it is.
        audit: content of audit.json; None = it says that there was none.
    """
    before, start, rest = page.partition(_START)
    _, end, after = rest.partition(_END)
    if not start or not end:
        return page
    rows = [] if audit is None else list(audit["sub_datasets"].items())
    template = page_template(_TEMPLATE, {"p": _p_value})
    section = template.render(audit=audit, rows=rows, tests=TEST_NAMES)
    return "".join([before, start, section, end, after])


def _p_value(value: float | None) -> str:
    """0.00351 -> '0.0035'; nothing where there was no test."""
    return "" if value is None else f"{value:.2g}"
