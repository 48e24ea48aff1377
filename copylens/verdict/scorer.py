"""Texts -> verdicts: probe, attributor, detector and calibration behind one call."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from copylens.attributor.attributor import ChannelScores, shares_of
from copylens.config.schema import ProbeConfig, RunConfig
from copylens.detector.open_set import open_scores
from copylens.errors import LevelError, ModelError, ProbeError
from copylens.evidence.index import Citation
from copylens.fit.model import FittedModel
from copylens.probe.loading.identity import lm_hash
from copylens.probe.probe import Probe
from copylens.records import (
    FloatArray,
    ModelIdentity,
    Rights,
    States,
    Verdict,
)
from copylens.states.words import WordReader
from copylens.verdict.attachments import Attachments
from copylens.verdict.bundle import Bundle, load_bundle, save_bundle
from copylens.verdict.evidence import EvidenceSource, run_of
from copylens.verdict.public import public_name
from copylens.verdict.published import Published, decide, publish
from copylens.verdict.quotations import quoted_parts

# Fewer or more would only change speed: texts are scored independently of each other.
_BATCH = 64
UNREGISTERED = "unregistered"
"""The version of a scorer that is in no registry."""


@dataclass(frozen=True)
class Scores:
    """A set of texts, scored; every row stands for one text.

    Attributes:
        channels: before they are fused.
        log_probs: [N, K] fused, as if each text had one source, and that a registered one.
        timelines: N arrays [S, K + 1], the last column "unregistered"; rows sum to 1.
        shares: [N, K], rows sum to 1 - unregistered.
        unregistered, p_value, ood_score: [N].
    """

    channels: ChannelScores
    log_probs: FloatArray
    timelines: list[FloatArray]
    shares: FloatArray
    unregistered: FloatArray
    p_value: FloatArray
    ood_score: FloatArray

    @property
    def closed(self) -> FloatArray:
        """[N, K] shares as if all of a text were registered; rows sum to 1."""
        return np.asarray(self.shares / np.maximum(1 - self.unregistered, 1e-12)[:, None])


class Scorer:
    """A fitted model with its probe. Train, batch and service all call this one class."""

    def __init__(
        self,
        model: FittedModel,
        rights: tuple[Rights, ...],
        config: RunConfig,
        lineage: dict[str, Any],
        name: str = "copylens",
        version: str = UNREGISTERED,
        probe: Probe | None = None,
        attachments: Attachments | None = None,
        run: str | None = None,
    ):
        self.model = model
        self.rights = {item.sub_dataset: item for item in rights}
        self.config = config
        self.lineage = lineage
        self.attachments = attachments or {}
        weights = str(lineage.get("probe_weights") or "")[:12] or None
        lm = config.probe.model if config.reads_lm else None
        self.identity = ModelIdentity(
            name, version, lm and public_name(lm), config.probe.revision or weights
        )
        self._probe = probe
        self.evidence = EvidenceSource(self.attachments, config.evidence, run, lineage)

    @classmethod
    def load(
        cls,
        folder: str,
        name: str = "copylens",
        version: str = UNREGISTERED,
        probe: str | None = None,
    ) -> "Scorer":
        """Reads a saved scorer; the LM itself is loaded at the first text.

        Args:
            folder: where `save` wrote.
            name, version: of the model, as verdicts give them.
            probe: where the LM lies now, if it has moved since training.

        Raises:
            ModelError: the folder holds no scorer, or a damaged one.
        """
        bundle = load_bundle(folder)
        config = bundle.config
        if probe is not None:
            moved = config.probe.model_copy(update={"model": probe})
            config = config.model_copy(update={"probe": moved})
        return cls(
            bundle.model,
            bundle.rights,
            config,
            bundle.lineage,
            name,
            version,
            attachments=bundle.attachments,
            run=run_of(folder) if version == UNREGISTERED else None,
        )

    def save(self, folder: str) -> None:
        """Writes safetensors + JSON; the LM's weights are named and pinned, not copied."""
        bundle = Bundle(
            model=self.model,
            rights=tuple(self.rights.values()),
            config=self.config,
            lineage=self.lineage,
            attachments=self.attachments,
        )
        save_bundle(folder, bundle)

    @property
    def reader(self) -> Probe | WordReader:
        """What reads texts: the probe, or plain words where no channel reads the LM."""
        if self.config.reads_lm:
            return self.probe
        return WordReader(self.config.probe.window)

    @property
    def probe(self) -> Probe:
        """The LM with its taps, loaded when first asked for.

        Raises:
            ProbeError: no channel of the model reads an LM.
            ModelError: the LM's weights are not those the scorer was trained with.
        """
        if not self.config.reads_lm:
            raise ProbeError(
                "this model was trained without an LM (channels.attention=false): it gives "
                "shares and evidence, and writes nothing"
            )
        if self._probe is None:
            check_probe(self.config.probe, self.lineage.get("probe_weights"))
            self._probe = Probe(self.config.probe, self.config.seed)
        return self._probe

    @property
    def can_write(self) -> bool:
        """Whether the LM is there and writes: not without an LM, not with an encoder."""
        return self.config.reads_lm and self.probe.lm.architecture.causal

    def share_lm(self, other: "Scorer") -> bool:
        """Takes over the LM that another scorer has in memory, if it is the very same.

        Two scorers that share one must not run at the same time: taps are set on the LM itself.

        Returns:
            Whether there was one to share.
        """
        weights = self.lineage.get("probe_weights")
        same = other.config.probe == self.config.probe and weights is not None
        if not same or other._probe is None or other.lineage.get("probe_weights") != weights:
            return False
        lm = other._probe.lm
        self._probe = Probe(self.config.probe, self.config.seed, lm=lm)
        return True

    def verdicts(
        self, texts: Sequence[str], alpha: float | None = None, evidence: bool = False
    ) -> list[Verdict]:
        """One verdict per text, in order.

        Args:
            texts: any length; long ones are read in overlapping chunks.
            alpha: false-alarm level; default: `calibration.alpha`.
            evidence: with spans and nearest passages, or the reason why there are none.

        Raises:
            TextError: a text is empty or blank.
            LevelError: see `level`.
        """
        self.level(alpha)
        result: list[Verdict] = []
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            result += self.judge(batch, self.reader.states(batch), alpha, evidence)
        return result

    def judge(
        self,
        texts: Sequence[str],
        states: Sequence[States],
        alpha: float | None = None,
        evidence: bool = False,
    ) -> list[Verdict]:
        """One verdict per text whose states are at hand, in order; see `verdicts`."""
        level = self.level(alpha)
        scores, spans = self.score(texts, states), self.evidence.trace(texts)
        found = [self._verdict(scores, n, text, spans[n], level) for n, text in enumerate(texts)]
        return self.evidence.complete(texts, states, found, spans) if evidence else found

    def score(self, texts: Sequence[str], states: Sequence[States]) -> Scores:
        """Scores texts whose states are at hand: the numbers behind the verdicts, but for what
        verbatim evidence adds to them.
        """
        model = self.model
        channels = model.attributor.channels.scores(texts, states)
        read = open_scores(model.attributor, model.detector, channels)
        timelines = model.timeline.shares(read)
        shares = shares_of(timelines, channels.spans)  # [N, K + 1], rows sum to 1
        return Scores(
            channels=channels,
            log_probs=model.attributor.log_probs(channels),
            timelines=timelines,
            shares=shares[:, :-1],
            unregistered=shares[:, -1],
            p_value=read.detection.p_value,
            ood_score=read.detection.score,
        )

    @property
    def smallest_p(self) -> float:
        """The level that a request's must lie above: no p-value is smaller."""
        return self.model.detector.smallest_p

    def level(self, alpha: float | None) -> float:
        """The false-alarm level of a request, or the config's.

        Raises:
            LevelError: the request's is not above `smallest_p`.
        """
        smallest = self.smallest_p
        if alpha is not None and alpha <= smallest:
            raise LevelError(
                f"alpha must be above {smallest:.3g} with this model, got {alpha}: no p-value of "
                f"its {round(1 / smallest) - 1} calibration passages is smaller; train with more "
                "val passages for a stricter level",
                smallest,
            )
        return self.config.calibration.alpha if alpha is None else alpha

    def published(self, scores: Scores, n: int, citations: Sequence[Citation] = ()) -> Published:
        """The n-th text's numbers as its verdict publishes them.

        Args:
            citations: spans of the text that stand in registered passages.
        """
        spans, names = scores.channels.spans[n], self.model.attributor.sub_datasets
        quoted = quoted_parts(citations, spans, names)
        tokens = int(scores.channels.tokens[n])
        return publish(scores.timelines[n], spans, tokens, self.model.intervals, quoted)

    def _verdict(
        self, scores: Scores, n: int, text: str, citations: Sequence[Citation], alpha: float
    ) -> Verdict:
        found, p_value = self.published(scores, n, citations), float(scores.p_value[n])
        names = self.model.attributor.sub_datasets
        decision, reason = decide(found, p_value, alpha, self.config.calibration.abstain_below)
        return Verdict(
            text_sha256=hashlib.sha256(text.encode()).hexdigest(),
            decision=decision,
            abstain_reason=reason,
            p_value=p_value,
            ood_score=float(scores.ood_score[n]),
            shares=found.share_records([self.rights[name] for name in names]),
            unregistered=found.unregistered,
            timeline=found.timeline_records(scores.channels.spans[n], names),
            model=self.identity,
            tokens=int(scores.channels.tokens[n]),
        )


def check_probe(config: ProbeConfig, expected: str | None) -> None:
    """Refuses an LM whose weights are not those that the scorer was trained with."""
    found = lm_hash(config)
    if expected is not None and found != expected:
        raise ModelError(
            f"the LM at '{config.model}' is not the one this scorer was trained with "
            f"(weights {found[:12]}, expected {expected[:12]}); name the right one with --probe"
        )
