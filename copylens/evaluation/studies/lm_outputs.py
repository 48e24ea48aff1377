"""What the LM itself writes: it continues held-out passages, and only the continuation is scored.

There is no truth about what a continuation draws on. `agreement` is the share of continuations
whose largest share names the prompt's own sub-dataset, far from the prompt and near it, with word
8-grams of the training text in them and without.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from copylens.evaluation.contract import DISTANCES
from copylens.evaluation.studies.inputs import Right, StudyInput, spread
from copylens.probe.chunks import tokenize
from copylens.probe.lm import LanguageModel
from copylens.records import Passage
from copylens.verdict.scorer import Scores

PROMPT_TOKENS, NEW_TOKENS = 64, 192
_TEMPERATURE, _TOP_P = 0.8, 0.95
_BATCH = 32
_NGRAM = 8


@dataclass(frozen=True)
class Continuation:
    """What the LM wrote after a prompt.

    Attributes:
        label: index of the prompt's sub-dataset; -1 where it is none of the registered ones.
        text: the continuation alone.
        pieces: its thirds by tokens, nearest to the prompt first.
    """

    label: int
    text: str
    pieces: tuple[str, ...]


def run(study: StudyInput) -> dict[str, Any]:
    """Agreement with the prompt's sub-dataset, and how often outputs are called unregistered."""
    written = continuations(study)
    known = [item for item in written if item.label >= 0]
    strange = [item for item in written if item.label < 0]
    if not known:  # no test passage is as long as a prompt, or all outputs are blank
        return {"n": 0, "n_ood": len(strange)}
    texts, labels = [item.text for item in known], [item.label for item in known]
    scores, right, text_right = _answers(study, texts, labels)
    some = overlapping(texts, study.train.texts)
    alpha = study.config.calibration.alpha
    flagged = None
    if strange:
        others, _ = study.score([item.text for item in strange])
        flagged = float((others.p_value < alpha).mean())
    return {
        **_share(right, text_right),
        "by_distance": _by_distance(study, known),
        "by_overlap": {
            name: _share(right[some == value], text_right[some == value])
            for name, value in (("none", False), ("some", True))
        },
        "registered_flagged": float((scores.p_value < alpha).mean()),
        "ood_flagged": flagged,
        "n_ood": len(strange),
    }


def continuations(study: StudyInput) -> list[Continuation]:
    """The LM's continuations of the chosen prompts; those that came out blank are left out."""
    seed, lm = study.config.seed, study.scorer.probe.lm
    prompts: list[tuple[int, ...]] = []
    labels: list[int] = []
    numbers = {name: k for k, name in enumerate(study.names)}
    length, new = sizes(lm)
    for passages in (study.answers.passages["test"], study.answers.passages["ood_test"]):
        for passage in _chosen(passages, study.config.evaluation.prompts, seed):
            ids = tokenize(lm, [passage.text])[0].ids
            if len(ids) >= length:
                prompts.append((*lm.prefix, *ids[:length]))
                labels.append(numbers.get(passage.sub_dataset, -1))
    decode = lm.tokenizer.decode
    found = []
    for label, ids in zip(labels, write(lm, prompts, new, seed)):
        thirds = np.array_split(np.array(ids), len(DISTANCES))
        pieces = tuple(decode(third.tolist(), skip_special_tokens=True) for third in thirds)
        text = decode(list(ids), skip_special_tokens=True)
        if text.strip():
            found.append(Continuation(label, text, pieces))
    return found


def sizes(lm: LanguageModel) -> tuple[int, int]:
    """Tokens of a prompt and of its continuation; smaller where the LM's context is."""
    length = min(PROMPT_TOKENS, lm.context // 4)
    return length, min(NEW_TOKENS, lm.context - length - len(lm.prefix))


def write(
    lm: LanguageModel, prompts: Sequence[tuple[int, ...]], count: int, seed: int
) -> list[tuple[int, ...]]:
    """Samples exactly `count` new tokens after each prompt; all prompts have the same length.

    The end token is not to be drawn, so that every third is as long as the others.
    """
    written: list[tuple[int, ...]] = []
    end = lm.tokenizer.eos_token_id
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(seed)
        for start in range(0, len(prompts), _BATCH):
            ids = torch.tensor(prompts[start : start + _BATCH], device=lm.device)
            output = lm.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                temperature=_TEMPERATURE,
                top_p=_TOP_P,
                top_k=0,
                max_new_tokens=count,
                suppress_tokens=None if end is None else [end],
                pad_token_id=end or 0,
            )
            written += [tuple(row) for row in output[:, ids.shape[1] :].tolist()]
    return written


def ngrams(text: str) -> set[tuple[str, ...]]:
    """All runs of eight words, in lower case, as white space separates them."""
    words = text.lower().split()
    return {tuple(words[i : i + _NGRAM]) for i in range(len(words) - _NGRAM + 1)}


def overlapping(texts: Sequence[str], train: Iterable[str]) -> Right:
    """[N] whether a text shares a run of eight words with any training text."""
    owners: dict[tuple[str, ...], list[int]] = {}
    for i, text in enumerate(texts):
        for run_of_words in ngrams(text):
            owners.setdefault(run_of_words, []).append(i)
    found = np.zeros(len(texts), dtype=np.bool_)
    # The few outputs are kept and the training text streams past, however long it is.
    for text in train:
        for run_of_words in owners.keys() & ngrams(text):
            found[owners[run_of_words]] = True
    return found


def _chosen(passages: Sequence[Passage], each: int, seed: int) -> list[Passage]:
    """Up to `each` passages of every sub-dataset, spread over its split groups."""
    names = [passage.sub_dataset for passage in passages]
    index = []
    for name in sorted(set(names)):
        mine = np.array([i for i, other in enumerate(names) if other == name])
        groups = [passages[int(i)].split_group for i in mine]
        index += [int(i) for i in mine[spread([name] * len(mine), groups, each, seed)]]
    return [passages[i] for i in index]


def _answers(
    study: StudyInput, texts: Sequence[str], labels: Sequence[int]
) -> tuple[Scores, Right, Right]:
    """The scores of texts, and [N] whether CopyLens and the text-only baseline agree."""
    scores, closed = study.score(texts)
    text_shares = study.text_baseline(texts)
    return scores, closed.argmax(axis=1) == labels, text_shares.argmax(axis=1) == labels


def _by_distance(study: StudyInput, known: Sequence[Continuation]) -> dict[str, Any]:
    found = {}
    for third, name in enumerate(DISTANCES):
        kept = [item for item in known if item.pieces[third].strip()]
        texts = [item.pieces[third] for item in kept]
        right = text_right = np.zeros(0, dtype=np.bool_)
        if texts:
            _, right, text_right = _answers(study, texts, [item.label for item in kept])
        found[name] = _share(right, text_right)
    return found


def _share(right: Right, text_right: Right) -> dict[str, Any]:
    """Agreement of CopyLens and of the text-only baseline; None over no output."""
    means = [float(found.mean()) if len(found) else None for found in (right, text_right)]
    return {"agreement": means[0], "best_text_agreement": means[1], "n": len(right)}
