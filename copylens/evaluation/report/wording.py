"""What the headline figures mean, in words a person without statistics can use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Tone = str
"""`good`, `bad`, `open` (cannot be told) or `plain`."""

# Figure, interval, meaning, tone.
_Card = tuple[str, str, str, Tone]

NOT_MEASURED = "not measured"

BASELINE_NAMES = {
    "msp_on_logits": "largest share",
    "max_logit_on_logits": "largest logit",
    "energy_on_logits": "energy of the logits",
    "mahalanobis_on_features": "Mahalanobis on features",
    "style": "likeliest style",
    "projector": "contrastive projector",
    "relative_mahalanobis_on_features": "relative Mahalanobis on features",
    "knn_on_features": "nearest neighbours in features",
    "cosine_on_features": "cosine to means of features",
    "tfidf_word": "TF-IDF, words",
    "tfidf_char": "TF-IDF, characters",
    "tfidf_word_masked": "TF-IDF, words, names masked",
    "tfidf_char_masked": "TF-IDF, characters, names masked",
    "bm25": "BM25 nearest passages",
    "linear_probe": "Mean states, logistic regression",
    "text_only_lstm": "LSTM on the same tokens",
}


# How far a measured rate of false alarms may exceed its level by chance.
_SLACK = 1.4
_LITTLE_POWER = 0.15


@dataclass(frozen=True)
class Headline:
    """One card of the report: a figure, its interval and its meaning."""

    title: str
    figure: str
    interval: str
    meaning: str
    tone: Tone


def headlines(report: Mapping[str, Any]) -> list[Headline]:
    """The cards at the top, in reading order."""
    cards = {
        "Attribution accuracy": _accuracy,
        "Against the best text-only baseline": _against_text,
        "Telling registered from unregistered (AUROC)": _ood,
        "Registered texts wrongly called unregistered": _alarms,
        "Error of a share in mixed texts": _mixture,
    }
    return [Headline(title, *card(report)) for title, card in cards.items()]


def percent(value: float | None, digits: int = 1) -> str:
    """0.6642 -> '66.4 %'."""
    return NOT_MEASURED if value is None else f"{100 * value:.{digits}f} %"


def points(value: float | None, unit: str = " points") -> str:
    """0.032 -> '+3.2 points'."""
    return NOT_MEASURED if value is None else f"{100 * value:+.1f}{unit}".replace("-", "−")


def decimal(value: float | None, digits: int = 3) -> str:
    """0.95412 -> '0.954'."""
    return NOT_MEASURED if value is None else f"{value:.{digits}f}"


def between(ends: Any, unit: str = "") -> str:
    """[-0.012, 0.03] -> '−1.2 to +3.0', in points; "" where there is no interval."""
    return "" if ends is None else f"{points(ends[0], unit)} to {points(ends[1], unit)}"


def best_text_name(report: Mapping[str, Any]) -> str:
    """The best text-only baseline in words."""
    name = report["baselines"]["best_text"]["name"]
    return "none" if name is None else BASELINE_NAMES.get(name, name)


def _between(ends: Any, form: Any) -> str:
    return "" if ends is None else f"95 % interval {form(ends[0])} to {form(ends[1])}"


def _accuracy(report: Mapping[str, Any]) -> _Card:
    part = report["attribution"]
    meaning = "No attribution was measured."
    if part["accuracy"] is not None:
        tested = f"Of {part['n']:,} unseen passages" if part["n"] else "Of the unseen passages"
        meaning = f"{tested}, this share was assigned to the right sub-dataset."
        if part["ece"] is not None:
            meaning += f" Stated shares are off by {100 * part['ece']:.1f} points on average (ECE)."
    return percent(part["accuracy"]), _between(part["ci95"], percent), meaning, "plain"


def _against_text(report: Mapping[str, Any]) -> _Card:
    best = report["baselines"]["best_text"]
    if best["difference"] is None:
        return _open("No text-only baseline was run: whether the LLM adds anything is open.")
    name, ends = best_text_name(report), best["difference_ci95"]
    if ends is None:
        meaning, tone = f"Compared with {name}; too few split groups for an interval.", "open"
    elif ends[0] > 0:
        meaning, tone = f"Better than {name}: the interval lies above 0.", "good"
    elif ends[1] < 0:
        meaning, tone = f"Worse than {name}: the interval lies below 0.", "bad"
    else:
        meaning, tone = f"Not told apart from {name}: the interval holds 0.", "open"
    return points(best["difference"]), _between(ends, points), meaning, tone


def _ood(report: Mapping[str, Any]) -> _Card:
    part = report["ood"]
    if part["auroc"] is None:
        return _open("No unregistered texts were tested.")
    meaning = (
        f"In {100 * part['auroc']:.0f} of 100 pairs the unregistered text gets the higher "
        "OOD score; 50 would be chance."
    )
    if part["fpr95"] is not None:
        meaning += (
            f" Keeping 95 % of registered texts lets {percent(part['fpr95'], 0)} "
            "of the unregistered ones pass (FPR95)."
        )
    return decimal(part["auroc"]), "", meaning, "plain"


def _alarms(report: Mapping[str, Any]) -> _Card:
    part = report["conformal"]
    rate, alpha = part["false_alarm_rate"], part["alpha"]
    if rate is None or alpha is None:
        return _open("No false-alarm rate was measured.")
    kept = rate <= _SLACK * alpha
    meaning = f"Asked for: {percent(alpha)}. "
    if not kept:
        return percent(rate), "", meaning + "Exceeded on this test set.", "bad"
    power = report["ood"]["power"]
    if power is None:
        return percent(rate), "", meaning + "Without unregistered texts its power is open.", "open"
    meaning += f"Of the unregistered texts {percent(power)} are called so (power)."
    if power < _LITTLE_POWER:
        return percent(rate), "", meaning + " It hardly ever says unregistered.", "bad"
    return percent(rate), "", meaning, "good"


def _mixture(report: Mapping[str, Any]) -> _Card:
    part = report["mixture"]
    if part["mae"] is None:
        return _open("No mixed texts were tested.")
    tested = f" over {part['n']:,} mixed texts" if part["n"] else ""
    meaning = f"Mean distance between predicted and true share{tested}."
    return f"{100 * part['mae']:.1f} points", "", meaning, "plain"


def _open(meaning: str) -> _Card:
    return NOT_MEASURED, "", meaning, "open"
