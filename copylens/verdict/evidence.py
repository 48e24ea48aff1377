"""Where a scorer's evidence comes from, and why it has none where it has none."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from copylens.config.evidence import EvidenceConfig
from copylens.errors import CopyLensError, ModelError
from copylens.evidence.index import Citation, EvidenceIndex
from copylens.evidence.manifest import MANIFEST
from copylens.records import States, Verdict
from copylens.store import storage
from copylens.verdict.attachments import FILES, Attachments, read_attachments
from copylens.verdict.bundle import SCORER_FILE

NO_INDEX = "this version has no evidence index; run `copylens index`, then promote"
MODEL_FOLDER = "model"
"""Folder of the scorer in a run's output."""

_log = logging.getLogger(__name__)


class EvidenceSource:
    """The index of one scorer, opened when first asked for.

    A registered version has the index that its scorer.json names. A scorer that was saved and not
    promoted has the one of its run, if the run has indexed the corpus that the scorer is of.
    """

    def __init__(
        self,
        attachments: Attachments,
        settings: EvidenceConfig,
        run: str | None = None,
        lineage: Mapping[str, Any] | None = None,
    ):
        """Opens nothing.

        Args:
            run: output of the run that the scorer lies in; None where it lies in none.
            lineage: of the scorer.
        """
        self._attachments, self._settings = attachments, settings
        self._run, self._lineage = run, lineage or {}
        self._index: EvidenceIndex | None = None
        self._logged = ""

    def index(self) -> EvidenceIndex | None:
        """The index; None where this version has none.

        Raises:
            CopyLensError: it is gone, damaged, or no longer the one that was registered.
        """
        if self._index is None:
            self._index = EvidenceIndex.attached(self._attached(), self._settings)
        return self._index

    def reason(self) -> str | None:
        """Why there is no index to look in, without the path of this machine; None: there is one.

        That an index cannot be read is logged once, with its path.
        """
        try:
            return NO_INDEX if self.index() is None else None
        except CopyLensError as error:
            if str(error) != self._logged:
                self._logged = str(error)
                _log.error("there is no evidence to give: %s", error)
            return self._without_path(str(error))

    def require(self) -> None:
        """For a caller who wants evidence and would take no verdict without it.

        Raises:
            ModelError: there is no index to look in.
        """
        if (reason := self.reason()) is not None:
            raise ModelError(f"there is no evidence to give: {reason}")

    def trace(self, texts: Sequence[str]) -> list[list[Citation]]:
        """The spans of each text that stand in registered passages; none without an index."""
        self.reason()
        index = self._index
        return [[] if index is None else index.trace(text) for text in texts]

    def complete(
        self,
        texts: Sequence[str],
        states: Sequence[States],
        verdicts: Sequence[Verdict],
        spans: Sequence[Sequence[Citation]],
    ) -> list[Verdict]:
        """The verdicts with what the index holds of their texts, or why there is no index.

        Args:
            spans: what `trace` gave for the texts.
        """
        reason = self.reason()
        index = self._index
        if index is None:
            return [replace(verdict, evidence_reason=reason) for verdict in verdicts]
        found = (
            index.evidence(text, state.values if state.values.size else None, traced)
            for text, state, traced in zip(texts, states, spans)
        )
        return [
            replace(verdict, evidence=items, evidence_reason=None)
            for verdict, items in zip(verdicts, found)
        ]

    def _attached(self) -> Attachments:
        if "evidence" in self._attachments or self._run is None:
            return self._attachments
        return read_attachments(self._run, self._lineage, ("evidence",))

    def _without_path(self, message: str) -> str:
        named = self._attachments.get("evidence")
        if named is not None:
            place = str(named["uri"]).removesuffix(f"{FILES['evidence'][0]}/{MANIFEST}")
        else:
            place = f"{storage.shown(self._run or '')}/"
        return message.replace(place, "")


def run_of(folder: str) -> str | None:
    """The output of the run that a scorer's folder lies in; None where it lies in none."""
    place = folder.rstrip("/") if "://" in folder else str(Path(folder).absolute())
    parent, _, name = place.rpartition("/")
    return parent if parent and name == MODEL_FOLDER else None


def scorer_folder(place: str) -> str:
    """The folder of a saved scorer: the one that is named, or `model` in a run's output."""
    inside = storage.join(place, MODEL_FOLDER)
    named = storage.exists(storage.join(place, SCORER_FILE))
    return inside if not named and storage.exists(storage.join(inside, SCORER_FILE)) else place
