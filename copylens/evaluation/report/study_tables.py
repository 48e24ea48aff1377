"""The studies' figures as rows with plain titles, for the report page."""

from collections.abc import Mapping
from typing import Any

_CONTROL_NAMES = {
    "random_init": "the LLM with random weights",
    "never_trained": "an LLM never trained on these texts",
    "text_only_lstm": "an LSTM on the same tokens, without the LLM",
}
_VIEW_NAMES = {
    "unchanged": "as they are",
    "names_masked": "names masked",
    "lower_case": "no capitals",
    "no_punctuation": "no punctuation",
    "sentences_shuffled": "sentences in random order",
    "words_dropped": "every tenth word dropped",
    "first_64_tokens": "the first 64 tokens only",
    "first_128_tokens": "the first 128 tokens only",
    "first_256_tokens": "the first 256 tokens only",
}
_DISTANCE_NAMES = {
    "first_third": "the third next to the prompt",
    "second_third": "the middle third",
    "last_third": "the third farthest from it",
}
_OVERLAP_NAMES = {
    "none": "no eight words in a row from train",
    "some": "eight or more words in a row from train",
}

Rows = list[tuple[str, Any]]


def control_rows(report: Mapping[str, Any]) -> Rows:
    """The controls that were run, in the order of the contract."""
    rows = _titled(_CONTROL_NAMES, report["controls"])
    return [(title, part) for title, part in rows if part["accuracy"] is not None]


def view_rows(report: Mapping[str, Any]) -> Rows:
    """Accuracy by changed view; empty where the study was not run."""
    rows = _titled(_VIEW_NAMES, report["robustness"])
    return [(title, part) for title, part in rows if part["n"]]


def output_rows(report: Mapping[str, Any]) -> Rows:
    """Agreement over all continuations, by distance and by overlap; empty where not run."""
    found = report["lm_outputs"]
    if not found["n"]:
        return []
    return [
        ("the whole continuation", found),
        *_titled(_DISTANCE_NAMES, found["by_distance"]),
        *_titled(_OVERLAP_NAMES, found["by_overlap"]),
    ]


def _titled(titles: Mapping[str, str], parts: Mapping[str, Any]) -> Rows:
    return [(title, parts[name]) for name, title in titles.items()]


def in_corpus_rows(report: Mapping[str, Any]) -> Rows:
    """Accuracies on held-out passages of known works; empty where not run."""
    found = report["in_corpus"]
    if not found["n"]:
        return []
    titles = {
        "accuracy": "CopyLens, attention and lexical channel",
        "attention": "attention channel alone",
        "lexical": "lexical channel alone",
        "best_text": "best text-only baseline",
    }
    return _titled(titles, found)


def _origin(name: str, part: Mapping[str, Any]) -> str:
    given = part.get("n_given")
    return f"only {name}" + (f" (training was given {given} others of it)" if given else "")


def ood_rows(ood: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """AUROC and FPR95 over all unregistered texts, near and far ones, by origin, and left out.

    Rows of kinds that were not tested are left out.
    """
    titles = {
        "near": "near: of the same kind as the registered ones",
        "far": "far: of other kinds",
        "leave_one_out": "a sub-dataset left out of training (mean)",
    }
    parts = [("all unregistered texts", ood), *_titled(titles, ood)]
    parts += [(_origin(name, part), part) for name, part in ood["by_origin"].items()]
    left_out = ood["leave_one_out"]["by_sub_dataset"]
    parts += [(f"{name} left out", part) for name, part in left_out.items()]
    rows = [(title, part["auroc"], part["fpr95"]) for title, part in parts if part]
    return [row for row in rows if row[1] is not None]
