"""An audit's findings as a file holds them, for those who only read it."""

from typing import Any

from copylens.audit.findings import TESTS


def entry(name: str, finding: str) -> dict[str, Any]:
    """One sub-dataset's entry; the figures are made up and fit the finding."""
    p_value = 0.001 if finding == "trained on" else 0.6
    return {
        "finding": finding,
        "sentence": f"Trained on {name}: so they say.",
        "p_value": p_value,
        "p_holm": p_value,
        "gap": {"nats_per_token": 0.2, "standard_error": 0.02},
        "passages": {"members": 60, "non_members": 50},
        "tests": {test: {"p_value": p_value, "p_holm": p_value} for test in TESTS},
        "extraction": {
            "members": {"passages": 60, "extractable": 2},
            "non_members": {"passages": 50, "extractable": 0},
            "worst": [{"id": "1", "prefix": "so", "suffix": "on", "log_prob": -1.0, "samples": 2}],
            "sentence": f"Of 60 passages of {name} 2 can be drawn.",
        },
    }


def audit(
    findings: dict[str, str], corpus_manifest: str, weights: str | None = None
) -> dict[str, Any]:
    """The whole of audit.json."""
    return {
        "probe": {"model": "lm", "revision": None, "weights": weights},
        "corpus_manifest": corpus_manifest,
        "alpha": 0.05,
        "reference": "n-grams of the other passages",
        "sub_datasets": {name: entry(name, finding) for name, finding in findings.items()},
    }
