"""Is it only names, case, punctuation or length? The fitted scorer on test texts that are changed.

Nothing is fitted anew: this is what happens when a text comes in another dress than the training
passages. The best text-only baseline reads the very same changed texts.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from copylens import text as textviews
from copylens.attributor.attributor import shares_of
from copylens.evaluation.contract import CHANNELS, VIEWS
from copylens.evaluation.studies.inputs import StudyInput
from copylens.probe.chunks import Tokens, tokenize
from copylens.probe.lm import LanguageModel

_DROPPED_WORDS = 0.1


def run(study: StudyInput) -> dict[str, Any]:
    """Accuracies by view, as in `contract.VIEWS`."""
    test = study.test.subset(study.sample())
    made = changed_texts(test.texts, study.scorer.probe.lm, study.config.seed)
    return {view: _figures(study, made[view], test.labels) for view in VIEWS}


def changed_texts(texts: Sequence[str], lm: LanguageModel, seed: int) -> dict[str, list[str]]:
    """View -> the texts in it, in order; a text may become empty."""
    plain: dict[str, Callable[[str], str]] = {
        "unchanged": str,
        "names_masked": textviews.mask_names,
        "lower_case": textviews.lowercase,
        "no_punctuation": textviews.strip_punctuation,
        "sentences_shuffled": lambda text: textviews.shuffle_sentences(text, seed),
        "words_dropped": lambda text: textviews.drop_words(text, _DROPPED_WORDS, seed),
    }
    views = {name: [view(text) for text in texts] for name, view in plain.items()}
    for count in (64, 128, 256):
        views[f"first_{count}_tokens"] = cut(lm, texts, count)
    return views


def cut(lm: LanguageModel, texts: Sequence[str], count: int) -> list[str]:
    """The beginning of each text that the probe reads as exactly `count` tokens.

    A shorter text stays whole. A text that ends inside a word may be read as more or fewer tokens
    than it was cut at; then the nearest cut that gives the count is taken.
    """
    return [_cut(lm, text, item, count) for text, item in zip(texts, tokenize(lm, texts))]


def _cut(lm: LanguageModel, text: str, tokens: Tokens, count: int) -> str:
    if len(tokens.ids) <= count:
        return text
    nearest = sorted(range(1, len(tokens.ids)), key=lambda place: abs(place - count))
    for place in nearest:
        part = text[: int(tokens.offsets[place - 1, 1])]
        if part.strip() and len(tokenize(lm, [part])[0].ids) == count:
            return part
    return text[: int(tokens.offsets[count - 1, 1])]


def _figures(study: StudyInput, texts: Sequence[str], labels: Any) -> dict[str, Any]:
    """Accuracy of the scorer, of each channel and of the baseline; texts left empty are out."""
    kept = [i for i, text in enumerate(texts) if text.strip()]
    if not kept:
        return {**dict.fromkeys(("accuracy", *CHANNELS, "best_text")), "n": 0}
    texts, labels = [texts[i] for i in kept], labels[kept]
    scores = study.scorer.score(texts, study.scorer.probe.states(texts))
    closed = shares_of(scores.timelines, scores.evidence.spans)
    answers = {
        "accuracy": closed,
        **scores.evidence.text,
        "best_text": study.text_baseline(texts),
    }
    found = {
        name: float(np.mean(shares.argmax(axis=1) == labels)) for name, shares in answers.items()
    }
    return {**dict.fromkeys(CHANNELS), **found, "n": len(texts)}
