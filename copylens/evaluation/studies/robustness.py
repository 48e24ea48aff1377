"""Is it only names, case, punctuation or length? The fitted scorer on test texts that are changed.

Nothing is fitted anew: texts that differ in form from the training passages are scored as they
are. The best text-only baseline reads the very same changed texts.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from copylens import text as textviews
from copylens.evaluation.contract import CHANNELS, VIEWS
from copylens.evaluation.studies.inputs import StudyInput
from copylens.probe.chunks import tokenize
from copylens.records import IntArray
from copylens.states.words import word_states

_DROPPED_WORDS = 0.1


Offsets = Callable[[Sequence[str]], list[IntArray]]
"""Texts -> characters [T, 2] of each text's tokens, end exclusive."""


def run(study: StudyInput) -> dict[str, Any]:
    """Accuracies by view, as in `contract.VIEWS`."""
    test = study.test.subset(study.sample())
    made = changed_texts(test.texts, _offsets(study), study.config.seed)
    return {view: _figures(study, made[view], test.labels) for view in VIEWS}


def _offsets(study: StudyInput) -> Offsets:
    """Of what the scorer counts as a token: the LM's, or words where no channel reads one."""
    if not study.config.reads_lm:
        return lambda texts: [item.spans for item in word_states(texts, 1)]
    lm = study.scorer.probe.lm
    return lambda texts: [item.offsets for item in tokenize(lm, texts)]


def changed_texts(texts: Sequence[str], offsets: Offsets, seed: int) -> dict[str, list[str]]:
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
        views[f"first_{count}_tokens"] = cut(offsets, texts, count)
    return views


def cut(offsets: Offsets, texts: Sequence[str], count: int) -> list[str]:
    """The beginning of each text that is read as exactly `count` tokens.

    A shorter text stays whole. A text that ends inside a word may be read as more or fewer tokens
    than it was cut at; then the nearest cut that gives the count is taken.
    """
    return [_cut(offsets, text, ends[:, 1], count) for text, ends in zip(texts, offsets(texts))]


def _cut(offsets: Offsets, text: str, ends: IntArray, count: int) -> str:
    if len(ends) <= count:
        return text
    nearest = sorted(range(1, len(ends)), key=lambda place: abs(place - count))
    for place in nearest:
        part = text[: int(ends[place - 1])]
        if part.strip() and len(offsets([part])[0]) == count:
            return part
    return text[: int(ends[count - 1])]


def _figures(study: StudyInput, texts: Sequence[str], labels: Any) -> dict[str, Any]:
    """Accuracy of the scorer, of each channel and of the baseline; texts left empty are out."""
    kept = [i for i, text in enumerate(texts) if text.strip()]
    if not kept:
        return {**dict.fromkeys(("accuracy", *CHANNELS, "best_text")), "n": 0}
    texts, labels = [texts[i] for i in kept], labels[kept]
    scores, closed = study.score(texts)
    answers = {"accuracy": closed, **scores.channels.text, "best_text": study.text_baseline(texts)}
    found = {name: float(np.mean(s.argmax(axis=1) == labels)) for name, s in answers.items()}
    return {**dict.fromkeys(CHANNELS), **found, "n": len(texts)}
