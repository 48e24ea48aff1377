"""report.json: which keys it has and what they may hold. Gates and readers rely on it.

Figures are finite numbers; one that was not measured is None, never a string and never made up.
A report may hold more than the contract asks for, under the same rule.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

CHANNELS = ("attention", "lexical")
CONTROLS = ("random_init", "never_trained", "text_only_lstm")
BASELINES = (
    "tfidf_word",
    "tfidf_char",
    "tfidf_word_masked",
    "tfidf_char_masked",
    "bm25",
    "linear_probe",
    "sentence_encoder",
)
# Test texts as they are, and changed; see studies/robustness.py.
VIEWS = (
    "unchanged",
    "names_masked",
    "lower_case",
    "no_punctuation",
    "sentences_shuffled",
    "words_dropped",
    "first_64_tokens",
    "first_128_tokens",
    "first_256_tokens",
)
# Thirds of what the LM wrote, nearest to the prompt first; see studies/lm_outputs.py.
DISTANCES = ("first_third", "second_third", "last_third")

_FIGURE_SECTIONS = (
    "attribution",
    "channels",
    "controls",
    "robustness",
    "lm_outputs",
    "in_corpus",
    "mixture",
    "shares",
    "lengths",
    "ood",
    "conformal",
    "baselines",
    "cost",
)
# The only texts among the figures.
_TEXTS = frozenset({"name", "convention", "unit"})
# Figures that are shares or probabilities.
_UNIT_RANGE = frozenset(
    {
        "accuracy",
        "probe_accuracy",
        "agreement",
        "best_text_agreement",
        "macro_f1",
        "ece",
        "auroc",
        "fpr95",
        "alpha",
        "coverage",
        "smallest_p",
        "false_alarm_rate",
        "false_alarm_rate_mixed",
        "auroc_mixed",
        "power",
        "registered_flagged",
        "ood_flagged",
    }
)
_COUNTS = frozenset({"n", "n_id", "n_ood", "n_train", "n_given"})


def empty_report() -> dict[str, Any]:
    """A report with every key of the contract and nothing measured."""
    attribution = ("accuracy", "macro_f1", "ece", "n", "ci95", "by_sub_dataset")
    baselines = {name: _nothing("accuracy", "macro_f1", "auroc", "fpr95") for name in BASELINES}
    control = ("accuracy", "probe_accuracy", "difference", "difference_ci95", "n")
    channel = ("accuracy", "difference", "difference_ci95", "auroc")
    in_corpus = ("attention", "lexical", "best_text", "n_train")
    best_text = _nothing("name", "accuracy", "difference", "difference_ci95")
    best_ood = _nothing("name", "auroc", "difference", "difference_ci95")
    return {
        "attribution": _nothing(*attribution),
        "channels": {name: _nothing(*channel) for name in CHANNELS},
        "controls": {name: _nothing(*control) for name in CONTROLS},
        "robustness": {view: _nothing("accuracy", *CHANNELS, "best_text", "n") for view in VIEWS},
        "lm_outputs": _no_outputs(),
        "in_corpus": _nothing("accuracy", *in_corpus, "difference", "difference_ci95", "n"),
        "mixture": _nothing("mae", "n"),
        "ood": {
            **_nothing("auroc", "auroc_mixed", "fpr95", "power", "n_id", "n_ood", "convention"),
            **_nothing("near", "far"),
            "leave_one_out": {**_nothing("auroc", "fpr95"), "by_sub_dataset": {}},
            "by_origin": {},
        },
        "shares": _nothing("coverage", "ece", "mae", "by_kind"),
        "lengths": {},
        "conformal": _nothing(
            "alpha", "smallest_p", "coverage", "false_alarm_rate", "false_alarm_rate_mixed"
        ),
        "baselines": {**baselines, "best_text": best_text, "best_ood": best_ood},
        "cost": {
            **_nothing("probe_seconds", "train_seconds", "texts_per_second", "peak_memory_mb"),
            "study_seconds": {},
        },
        "config": None,
        "lineage": None,
    }


def _no_outputs() -> dict[str, Any]:
    flags = ("registered_flagged", "ood_flagged", "n_ood")
    return {
        **_nothing("n", "agreement", "best_text_agreement", *flags),
        "by_distance": {d: _nothing("agreement", "best_text_agreement", "n") for d in DISTANCES},
        "by_overlap": {
            name: _nothing("agreement", "best_text_agreement", "n") for name in ("none", "some")
        },
    }


def check_report(report: Mapping[str, Any]) -> None:
    """Checks keys and types.

    Raises:
        ValueError: it names every missing key and every value of a wrong type or range.
    """
    problems = list(_missing(empty_report(), report, ""))
    for section in _FIGURE_SECTIONS:
        problems += _wrong(report.get(section), section, section)
    for section in ("config", "lineage"):
        value = report.get(section)
        if value is not None and not isinstance(value, Mapping):
            problems.append(f"{section}: must be keys and values or null, got {value!r}")
    if problems:
        raise ValueError("report.json breaks its contract: " + "; ".join(problems))


def _nothing(*keys: str) -> dict[str, Any]:
    return dict.fromkeys(keys)


def _missing(expected: Mapping[str, Any], found: Any, prefix: str) -> Iterator[str]:
    if not isinstance(found, Mapping):
        yield f"{prefix or 'report'}: must be keys and values, got {found!r}"
        return
    for key, inner in expected.items():
        path = f"{prefix}.{key}" if prefix else key
        if key not in found:
            yield f"{path}: missing (a figure not measured is null)"
        elif isinstance(inner, Mapping):
            yield from _missing(inner, found[key], path)


def _wrong(value: Any, path: str, key: str) -> Iterator[str]:
    """What is wrong with a value below a section of figures."""
    if value is None:
        return
    if isinstance(value, Mapping):
        for inner, content in value.items():
            yield from _wrong(content, f"{path}.{inner}", str(inner))
    elif key in _TEXTS:
        if not isinstance(value, str):
            yield f"{path}: must be a text or null, got {value!r}"
    elif key.endswith("ci95"):
        if not _is_interval(value):
            yield f"{path}: must be [low, high] with low <= high, or null, got {value!r}"
    elif not _is_number(value):
        yield f"{path}: must be a finite number or null, got {value!r}"
    elif key in _UNIT_RANGE and not 0 <= value <= 1:
        yield f"{path}: must lie in [0, 1], got {value!r}"
    elif key in _COUNTS and (not isinstance(value, int) or value < 0):
        yield f"{path}: must be a whole number >= 0, got {value!r}"


def _is_number(value: Any) -> bool:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return plain and math.isfinite(value)


def _is_interval(value: Any) -> bool:
    two = isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_number, value))
    return two and bool(value[0] <= value[1])
