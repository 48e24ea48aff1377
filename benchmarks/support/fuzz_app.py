"""The HTTP application over a scorer in this process, without Ray, for `benchmarks.fuzz`."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from copylens.corpus.quarantine import reason
from copylens.errors import TextError
from copylens.records import Verdict
from copylens.verdict.scorer import Scorer
from serve.http.context import make_context
from serve.http.middleware import AccessMiddleware
from serve.http.web import create_app
from serve.ops.settings import ServeArgs
from serve.replica.generation_backend import LocalGenerationBackend
from serve.replica.messages import FailedText, ModelStatus, RegisteredModel


class InProcess:
    """A `serve.replica.messages.ScoringBackend` over a scorer of this process."""

    def __init__(self, scorer: Scorer):
        self._scorer = scorer

    async def score(
        self,
        texts: Sequence[str],
        alpha: float | None,
        timeline: bool,
        evidence: bool,
        seconds: float,
    ) -> tuple[Verdict | FailedText, ...]:
        """See ScoringBackend; there is no deadline here."""
        entries = [await asyncio.to_thread(self._entry, text, alpha, evidence) for text in texts]
        if timeline:
            return tuple(entries)
        return tuple(replace(e, timeline=()) if isinstance(e, Verdict) else e for e in entries)

    def _entry(self, text: str, alpha: float | None, evidence: bool) -> Verdict | FailedText:
        try:
            verdict = self._scorer.verdicts([text], alpha)[0]
        except TextError as error:
            return FailedText(reason(error))
        return self._scorer.with_evidence(text, verdict) if evidence else verdict

    async def status(self) -> ModelStatus:
        """See ScoringBackend."""
        return ModelStatus(self._scorer.identity)

    async def registered(self) -> RegisteredModel:
        """See ScoringBackend."""
        calibration = self._scorer.config.calibration
        rights = tuple(self._scorer.rights.values())
        levels = (calibration.alpha, calibration.interval)
        return RegisteredModel(self._scorer.identity, *levels, True, rights, self._scorer.lineage)


def application(folder: str, probe: str | None) -> AccessMiddleware:
    """The whole application over a saved scorer, open to localhost."""
    scorer = Scorer.load(folder, probe=probe)
    args = ServeArgs(open_access=True)
    return create_app(make_context(args, InProcess(scorer), LocalGenerationBackend(lambda: scorer)))
