"""The LM's token scores of the audited passages: the expensive part of an audit, kept on disk.

Each sub-dataset is a task whose result is published with its key and skipped when it is there: an
audit that was killed resumes, and one with other settings of its tests runs no LM again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from copylens.audit.paraphrase import load_paraphraser
from copylens.audit.passages import AuditPassage, audit_passages
from copylens.audit.self_comparison import changed_words, increase, second_half
from copylens.audit.token_scores import TokenScores, token_scores
from copylens.config.schema import ProbeConfig, RunConfig, fingerprint
from copylens.errors import CorpusError
from copylens.probe.lm import LanguageModel, load_language_model
from copylens.probe.loading.identity import lm_hash
from copylens.probe.probe import OnPass, ignore_pass
from copylens.records import AnyArray, FloatArray
from copylens.store import storage
from copylens.store.markers import facts_of, is_published, mark

_PER_TOKEN = ("ids", "offsets", "log_probs", "means", "deviations")


@dataclass(frozen=True)
class Reading:
    """The LM's scores of one sub-dataset's passages, in their order.

    Attributes:
        tokens: of each passage.
        increases: [N] nats per changed word by which a paraphrase of the second half, after the
            unchanged first half, is less likely; NaN where the paraphraser changed nothing.
        references: [N] log-probability under the reference LM, per token of the audited LM; NaN
            without a reference LM.
    """

    tokens: tuple[TokenScores, ...]
    increases: FloatArray
    references: FloatArray


@dataclass(frozen=True)
class ReadTask:
    """One sub-dataset to score, the file to publish, and the key of everything it depends on.

    Attributes:
        characters: that LMs will read, about: a passage, its paraphrase, and with a reference LM
            the passage again.
    """

    sub_dataset: str
    passages: int
    characters: int
    target: str
    key: str

    @property
    def done(self) -> bool:
        """True when the result is published under this key."""
        return is_published(self.target, self.key)


def plan_readings(config: RunConfig, items: dict[str, list[AuditPassage]]) -> list[ReadTask]:
    """One task per sub-dataset that has items, done ones too.

    Raises:
        ProbeError: the LM or the reference LM is not there.
    """
    audit, probe = config.audit, config.probe
    reference = lm_hash(_reference(config)) if audit.reference else ""
    weights = (lm_hash(probe), reference, probe.max_tokens, probe.dtype)
    readings = 1 + bool(audit.paraphraser) + bool(audit.reference)
    return [
        ReadTask(
            sub_dataset=name,
            passages=len(found),
            characters=readings * sum(len(item.text) for item in found),
            target=storage.join(config.output, "audit", f"{fingerprint(name)}.safetensors"),
            key=fingerprint(
                weights, audit.paraphraser, config.seed, [[i.id, i.text, i.kind] for i in found]
            ),
        )
        for name, found in items.items()
        if found
    ]


class Reader:
    """Scores the passages of sub-datasets with an LM that is loaded once."""

    def __init__(self, config: RunConfig, on_pass: OnPass = ignore_pass):
        """`on_pass`: see `token_scores`."""
        self._config, self._on_pass = config, on_pass
        self._items = audit_passages(config)
        self._paraphrase = load_paraphraser(config.audit.paraphraser)
        self._lm = load_language_model(config.probe)
        named = config.audit.reference
        self._reference = load_language_model(_reference(config)) if named else None

    def __call__(self, task: ReadTask) -> None:
        """Publishes one sub-dataset's reading."""
        if task.done:
            return
        texts = [item.text for item in self._items[task.sub_dataset]]
        data = _encoded(self._read(texts))
        storage.write_bytes(task.target, data)
        mark(task.target, task.key, {"passages": len(texts), "sha256": storage.sha256(data)})

    def _read(self, texts: Sequence[str]) -> Reading:
        tokens = self._scores(self._lm, texts)
        references = np.full(len(texts), np.nan)
        if self._reference is not None:
            others = self._scores(self._reference, texts)
            sums = [float(item.log_probs.sum()) for item in others]
            references = np.array(sums) / [max(1, len(item)) for item in tokens]
        return Reading(tuple(tokens), self._increases(texts, tokens), references)

    def _scores(self, lm: LanguageModel, texts: Sequence[str]) -> list[TokenScores]:
        return token_scores(lm, texts, self._config.probe.batch_tokens, self._on_pass)

    def _increases(self, texts: Sequence[str], tokens: Sequence[TokenScores]) -> FloatArray:
        cuts, seed = [second_half(text) for text in texts], self._config.seed
        reworded = [t[:cut] + self._paraphrase(t[cut:], seed) for t, cut in zip(texts, cuts)]
        changed = [i for i, (text, other) in enumerate(zip(texts, reworded)) if text != other]
        result = np.full(len(texts), np.nan)
        if changed:
            others = self._scores(self._lm, [reworded[i] for i in changed])
            for i, other in zip(changed, others):
                words = changed_words(texts[i], reworded[i])
                result[i] = increase(tokens[i], other, cuts[i], words)
        return result


def load_reading(task: ReadTask) -> Reading:
    """What `Reader` published for a task.

    Raises:
        CorpusError: the file is missing or its bytes are not those its marker names.
    """
    facts = facts_of(task.target)
    if facts is None or not storage.exists(task.target):
        raise CorpusError(f"'{task.target}' is missing; audit again")
    data = storage.read_bytes(task.target)
    if storage.sha256(data) != facts["sha256"]:
        raise CorpusError(f"'{task.target}' is damaged; delete it and audit again")
    return _decoded(data)


def _reference(config: RunConfig) -> ProbeConfig:
    return config.probe.model_copy(update={"model": config.audit.reference, "revision": None})


def _encoded(reading: Reading) -> bytes:
    from safetensors.numpy import save

    arrays: dict[str, AnyArray] = {
        key: np.concatenate([getattr(item, key) for item in reading.tokens]) for key in _PER_TOKEN
    }
    arrays["lengths"] = np.array([len(item) for item in reading.tokens], np.int64)
    arrays |= {"increases": reading.increases, "references": reading.references}
    return bytes(save({key: np.ascontiguousarray(value) for key, value in arrays.items()}))


def _decoded(data: bytes) -> Reading:
    from safetensors.numpy import load

    arrays = dict(load(data))
    ends = np.cumsum(arrays["lengths"])
    columns = [np.split(arrays[key], ends[:-1]) for key in _PER_TOKEN]
    tokens = tuple(TokenScores(*item) for item in zip(*columns))
    return Reading(tokens, arrays["increases"], arrays["references"])
