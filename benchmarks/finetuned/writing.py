"""What each LM writes on openings that none has read, and how likely it finds texts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.finetuned.plan import Plan
from benchmarks.retraining.queries import Query
from copylens.audit.token_scores import token_scores
from copylens.config.schema import ProbeConfig, fingerprint
from copylens.evaluation.studies.lm_outputs import write
from copylens.probe.chunks import tokenize
from copylens.probe.lm import LanguageModel, load_language_model
from copylens.records import Passage
from copylens.store import storage


@dataclass(frozen=True)
class Writer:
    """One LM, and the folder that keeps what it has said."""

    probe: ProbeConfig
    folder: Path

    def written(self, openings: Sequence[Passage], plan: Plan) -> list[Query]:
        """What it writes on each opening; the opening itself is left out."""
        texts = [passage.text for passage in openings]
        kept = self._kept("written", asdict(plan), texts)
        if not kept.exists():
            storage.write_json(str(kept), self._write(texts, plan))
        found = zip(storage.read_json(str(kept)), openings)
        return [Query(text, p.sub_dataset, p.split_group, "written") for text, p in found]

    def losses(self, texts: Sequence[str]) -> list[float]:
        """Mean loss of each text, nats per token."""
        kept = self._kept("losses", {}, texts)
        if not kept.exists():
            scores = token_scores(self._lm(), texts, self.probe.batch_tokens)
            storage.write_json(str(kept), [-float(item.log_probs.mean()) for item in scores])
        found: list[float] = storage.read_json(str(kept))
        return found

    def _write(self, texts: Sequence[str], plan: Plan) -> list[str]:
        lm = self._lm()
        ids = [(*lm.prefix, *item.ids[: plan.opening_tokens]) for item in tokenize(lm, list(texts))]
        found = write(lm, ids, plan.new_tokens, plan.recipe.seed)
        return [lm.tokenizer.decode(list(row), skip_special_tokens=True) for row in found]

    def _lm(self) -> LanguageModel:
        torch.set_num_threads(1)
        return load_language_model(self.probe)

    def _kept(self, what: str, settings: dict[str, object], texts: Sequence[str]) -> Path:
        key = fingerprint(settings, self.probe.model, self.probe.adapter, list(texts))
        return self.folder / f"{what}-{key}.json"
