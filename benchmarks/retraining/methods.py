"""Every method's scores of every sub-dataset for every query, and what a query costs it.

Seconds are CPU time with one thread, queries in batches; what is done once for the corpus (indexes,
the gradients of the training passages, the fit of the scorer) is told apart.
"""

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.retraining import library, nearness
from benchmarks.retraining.audit import presence
from benchmarks.retraining.gradients import GradientIndex, Projections, gradients
from benchmarks.retraining.lms import load_lm
from benchmarks.retraining.nearness import NEIGHBOURS, nearest_sums
from benchmarks.retraining.shares import fitted_scorer, score_texts
from benchmarks.retraining.study import Study
from copylens.config.schema import fingerprint
from copylens.records import FloatArray, IntArray
from copylens.store import storage
from copylens.store.markers import is_published, mark

PROJECTED = 16
"""Width of both sides' projections: p^2 = 256 features per linear layer."""
_AUDITED = 120
"""Passages per sub-dataset and side of the audit."""


@dataclass
class Answers:
    """What the methods say, and what it cost.

    Attributes:
        candidates: method -> setting -> scores [Q, K] of all queries.
        per_query: method -> CPU seconds of one query.
        once: what -> CPU seconds of what is done once for the corpus.
        log_probs: [Q, K] the scorer's, fused, as if each query had a single source.
        presence: [2, K] the audit's gap and p-value; see `Presence`.
    """

    candidates: dict[str, dict[str, FloatArray]] = field(default_factory=dict)
    per_query: dict[str, float] = field(default_factory=dict)
    once: dict[str, float] = field(default_factory=dict)
    log_probs: FloatArray = field(default_factory=lambda: np.zeros(0))
    presence: FloatArray = field(default_factory=lambda: np.zeros(0))

    def to_bytes(self) -> bytes:
        """As an .npz file of plain arrays."""
        arrays = {
            f"scores/{method}/{setting}": scores
            for method, settings in self.candidates.items()
            for setting, scores in settings.items()
        }
        costs = json.dumps({"per_query": self.per_query, "once": self.once})
        buffer = io.BytesIO()
        np.savez(buffer, **arrays, log_probs=self.log_probs, presence=self.presence, costs=costs)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Answers":
        """The inverse of `to_bytes`."""
        arrays = np.load(io.BytesIO(data), allow_pickle=False)
        found = cls(log_probs=arrays["log_probs"], presence=arrays["presence"])
        vars(found).update(json.loads(str(arrays["costs"])))
        for name in arrays.files:
            if name.startswith("scores/"):
                _, method, setting = name.split("/")
                found.candidates.setdefault(method, {})[setting] = arrays[name]
        return found

    def joined(self, more: "Answers") -> "Answers":
        """With the scores and costs of further methods."""
        return replace(
            self,
            candidates=self.candidates | more.candidates,
            per_query=self.per_query | more.per_query,
            once=self.once | more.once,
        )

    def prepare(self, name: str, make: Callable[[], Any]) -> Any:
        """Times what is done once."""
        start = time.process_time()
        made = make()
        self.once[name] = time.process_time() - start
        return made

    def ask(self, name: str, queries: Sequence[str], answer: Callable[[], Any]) -> Any:
        """Times what every query needs."""
        start = time.process_time()
        found = answer()
        self.per_query[name] = (time.process_time() - start) / len(queries)
        return found


@dataclass(frozen=True)
class Question:
    """What all methods are given.

    Attributes:
        texts: [Q] queries.
        train: the passages that were read; labels [N] their sub-datasets of K.
    """

    texts: list[str]
    train: list[str]
    labels: IntArray
    classes: int

    def summed(self, likeness: FloatArray) -> dict[str, FloatArray]:
        """Scores by number of neighbours."""
        sums = partial(nearest_sums, likeness, self.labels, self.classes)
        return {f"nearest {k or 'all'}": sums(k) for k in NEIGHBOURS}


Method = Callable[[Study, Question, Answers], None]
"""Adds what it says, and what that cost, to the answers."""


def all_methods(study: Study) -> Answers:
    """Asks every method about every query of the study; answers are kept in its folder."""
    question = Question(
        texts=[query.text for query in study.queries],
        train=[passage.text for passage in study.read],
        labels=study.labels(study.read),
        classes=len(study.reading.names),
    )
    answers = _kept(study, question, "answers", (_by_words, _by_gradients, _by_shares))
    if library.missing() is None:
        # Apart, so that the others' answers are found again with the library and without.
        name = f"answers-bergson-{library.version()}"
        answers = answers.joined(_kept(study, question, name, (_by_library,)))
    return answers


def _kept(study: Study, question: Question, name: str, methods: Sequence[Method]) -> Answers:
    """What these methods answer, from the study's folder if it is there."""
    kept = storage.join(study.folder, f"{name}.npz")
    key = fingerprint(study.plan.to_dict(), study.reading.sha256, question.texts)
    if is_published(kept, key):
        return Answers.from_bytes(storage.read_bytes(kept))
    answers = Answers()
    for method in methods:
        method(study, question, answers)
    storage.write_bytes(kept, answers.to_bytes())
    mark(kept, key, {"queries": len(question.texts)})
    return answers


def _by_words(study: Study, question: Question, answers: Answers) -> None:
    for name, fit in (("bm25", nearness.bm25), ("tfidf", nearness.tfidf)):
        likeness = answers.prepare(name, partial(fit, question.train))
        found = answers.ask(name, question.texts, partial(likeness, question.texts))
        answers.candidates[name] = question.summed(found)


def _by_gradients(study: Study, question: Question, answers: Answers) -> None:
    """Projected gradients by their cosine, as they are and whitened."""
    model, context = load_lm(study.whole), study.plan.recipe.context
    projections = Projections.random(model, PROJECTED, study.plan.seed)
    read = partial(gradients, model, study.tokenizer, context=context, projections=projections)
    train = answers.prepare("gradient", partial(read, question.train))
    raw = answers.ask("gradient", question.texts, partial(read, question.texts))
    pass_alone = answers.per_query["gradient"]
    for name, whiten in (("gradient", False), ("trackstar", True)):
        index = GradientIndex.fit(train, whiten)
        found = answers.ask(name, question.texts, partial(index.cosines, raw))
        answers.per_query[name] += pass_alone
        answers.candidates[name] = question.summed(found)
    # Without an index the query meets gradients that are made anew, as influence is defined.
    answers.per_query["gradient_without_index"] = pass_alone + answers.once["gradient"]


def _by_library(study: Study, question: Question, answers: Answers) -> None:
    """The same as `trackstar` by a library that is not always there."""
    fit = partial(library.TrackStar.fit, load_lm(study.whole), study.tokenizer)
    index = answers.prepare(
        "bergson",
        lambda: fit(question.train, context=study.plan.recipe.context, width=PROJECTED),
    )
    found = answers.ask("bergson", question.texts, lambda: index.cosines(question.texts))
    answers.candidates["bergson"] = {
        f"{part}, {setting}": scores
        for part, cosines in found.items()
        for setting, scores in question.summed(cosines).items()
    }


def _by_shares(study: Study, question: Question, answers: Answers) -> None:
    """The scorer's shares, what the audit adds to them, and the states of its probe."""
    scorer = answers.prepare(
        "shares",
        lambda: fitted_scorer(
            study.folder, study.whole, study.read, study.passages["val"], study.plan.seed
        ),
    )
    shares, log_probs = answers.ask(
        "shares", question.texts, lambda: score_texts(scorer, question.texts)
    )
    answers.candidates["shares"] = {"as they are": shares}
    answers.log_probs = log_probs
    answers.presence = answers.prepare("audit", lambda: _audit(study))
    likeness = answers.prepare("states", lambda: nearness.states(scorer.probe, question.train))
    found = answers.ask("states", question.texts, lambda: likeness(question.texts))
    answers.candidates["states"] = question.summed(found)


def _audit(study: Study) -> FloatArray:
    """Losses of the LM of all sub-datasets: [2, K], gap and p-value of `Presence`."""
    sides = []
    for name, passages in (("read", study.read), ("unread", study.unread)):
        labels = study.labels(passages)
        kept = [np.flatnonzero(labels == k)[:_AUDITED] for k in range(len(study.reading.names))]
        texts = [passages[i].text for index in kept for i in index]
        found = study.losses(study.whole, texts, f"audit {name}")
        sides.append(np.split(found, np.cumsum([len(index) for index in kept])[:-1]))
    result = presence(*sides)
    return np.stack([result.gap, result.p_value])
